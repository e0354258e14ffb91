"""The services of a run, ``order → payment → {shipping, invoice}``, each in processes of its own.

Order and payment share a saga with a timeout beside that.
"""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from choreo import Context, Gaps, Reject, Retry, Service
from choreo.ids import derived
from choreo.runner import started
from choreo.testing.checker import Scribe, Subscriber
from choreo.testing.checker.recorder import Recorder
from choreo_sql import SqlTransaction
from tests.prove import saga
from tests.prove.books import Books
from tests.prove.events import Body, Events, events_of, like
from tests.prove.saga import watched

ROLES = ("order", "payment", "shipping", "invoice")
ATTEMPTS = 3
RETRY = Retry(attempts=ATTEMPTS, initial=timedelta(milliseconds=20))
WAIT = Gaps(policy="wait")
TOPICS = {
    "Requested": "requests",
    "Placed": "orders",
    "Paid": "payments",
    "Overdue": "reminders",
    "Lapsed": "lapses",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one life of one process is to do."""

    role: str
    run: str
    broker: str
    store: str
    proc: str
    life: int
    history: str
    """The file that it writes its entries to."""
    planted: str = ""
    """A mistake that the checker must find."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def service(self) -> str:
        """Name the service, which is the same in all processes of one role and run."""
        return f"{self.run}-{self.role}"


def service_of(task: Task, scribe: Scribe, recorder: Recorder) -> Service[SqlTransaction]:
    """Build the service that *task* asks for."""
    service = Service[SqlTransaction](
        task.service,
        broker=task.broker,
        store=task.store,
        retry=RETRY,
        create_topics=True,
        middleware=[recorder.around],
        **task.options,
    )
    build = {"order": _order, "payment": _payment, "shipping": _shipping, "invoice": _invoice}
    books = Books(
        scribe, service=task.service, proc=task.proc, life=task.life, planted=task.planted
    )
    build[task.role](service, events_of(task.run), books)
    return service


def _order(service: Service[SqlTransaction], events: Events, books: Books) -> None:
    async def place(request: Body, ctx: Context[SqlTransaction]) -> None:
        await books.effect(ctx, request, request.number)
        await ctx.publish(like(request, events.placed))
        if watched(request):
            await saga.begin(request, ctx, like(request, events.overdue), books)

    service.on(events.requested, publishes=[events.placed, events.overdue], gaps=WAIT)(place)
    saga.waiting(service, events, books)


def _payment(service: Service[SqlTransaction], events: Events, books: Books) -> None:
    async def charge(placed: Body, ctx: Context[SqlTransaction]) -> None:
        await books.effect(ctx, placed)
        if placed.kind == "flaky" and ctx.attempt < ATTEMPTS:
            raise OSError("the bank does not answer yet")
        if placed.kind == "rejected":
            raise Reject("a stolen card")
        if placed.kind == "failing":
            raise OSError("the bank does not know what to say")
        await ctx.publish(like(placed, events.paid))

    async def audit(placed: Body, ctx: Context[SqlTransaction]) -> None:
        await books.effect(ctx, placed)

    service.on(events.placed, publishes=[events.paid])(charge)
    service.on(events.placed)(audit)
    saga.hearing(service, events, books)


def _shipping(service: Service[SqlTransaction], events: Events, books: Books) -> None:
    async def ship(paid: Body, ctx: Context[SqlTransaction]) -> None:
        await books.effect(ctx, paid)

    service.on(events.paid)(ship)


def _invoice(service: Service[SqlTransaction], events: Events, books: Books) -> None:
    async def bill(paid: Body, ctx: Context[SqlTransaction]) -> None:
        await books.effect(ctx, paid)

    service.on(events.paid)(bill)


def subscribers(run: str) -> list[Subscriber]:
    """Tell the checker who handles what, and what must come of it."""
    order, payment = f"urn:choreo:{run}-order", f"urn:choreo:{run}-payment"
    return [
        _subscriber(run, "order", "place", "Requested")(
            emits=["prove.Placed.v1"],
            may_emit=["prove.Overdue.v1"],
            derive=partial(_derived, order, f"urn:choreo:{run}-generator", "place"),
        ),
        _subscriber(run, "order", "settle", "Paid")(),
        _subscriber(run, "order", "expire", "Overdue")(may_emit=["prove.Lapsed.v1"]),
        _subscriber(run, "payment", "release", "Lapsed")(),
        _subscriber(run, "payment", "charge", "Placed")(
            emits=["prove.Paid.v1"], derive=partial(_derived, payment, order, "charge")
        ),
        _subscriber(run, "payment", "audit", "Placed")(),
        _subscriber(run, "shipping", "ship", "Paid")(),
        _subscriber(run, "invoice", "bill", "Paid")(),
    ]


def _subscriber(run: str, role: str, handler: str, event: str) -> Callable[..., Subscriber]:
    return partial(
        Subscriber,
        service=f"{run}-{role}",
        handler=handler,
        type=f"prove.{event}.v1",
        topic=f"{run}-{TOPICS[event]}",
        attempts=ATTEMPTS,
    )


def _derived(source: str, cause_source: str, handler: str, identity: str, ordinal: int) -> str:
    return derived(source, cause_source, identity, handler, ordinal)


async def serve(task: Task, ready: Callable[[], None]) -> None:
    """Run until told to stop by SIGTERM; call *ready* once events are handled."""
    current = asyncio.current_task()
    assert current is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, current.cancel)
    scribe = Scribe(Path(task.history), proc=task.proc, incarnation=task.life)
    recorder = Recorder(scribe, task.service)
    try:
        async with started(service_of(task, scribe, recorder), journals=[recorder]) as running:
            ready()
            await running.wait()
    except asyncio.CancelledError:
        return

"""Two services of a choreography, each made to run in a process that is killed or stopped.

Effects go into a table without any constraint, in the handler's own transaction: a second one is
seen, not prevented.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import text

from choreo import Context, Reject, Retry, Service
from choreo.delivery.job import Job, Outcome
from choreo.delivery.journal import Journals
from choreo.failpoints import Point, reached
from choreo.park import Park
from choreo.runner import started
from choreo_sql import SqlTransaction
from tests.crash.events import Events, Order, Taken, events_of

EFFECT = text(
    "INSERT INTO effects (run, handler, id, key, number, process)"
    " VALUES (:run, :handler, :id, :key, :number, :process)"
)
# Points beside those of the framework: a handler has written its effect and goes on, or is at what
# it does outside; and the same when it is about to return.
OWN_WRITE, OWN_WRITTEN = cast("Point", "own_write"), cast("Point", "own_written")
OWN_ACT, OWN_ACTED = cast("Point", "own_act"), cast("Point", "own_acted")
RETRY = Retry(attempts=5, initial=timedelta(milliseconds=20))
DUPLICATE = cast("Point", "duplicate")
TWICE = Retry(attempts=2, initial=timedelta(milliseconds=20))
PARK = Park(attempts=20, initial=timedelta(milliseconds=100), maximum=timedelta(seconds=1))
LEASE = timedelta(seconds=2)
ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one process is to do."""

    role: str
    """``payments`` or ``ledger``."""
    run: str
    broker: str
    store: str
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Orders for its failpoints."""
    flaky: str = ""
    """Key and number, as ``key/2``, of the order that fails twice."""
    refused: str = ""
    """The same of the order that is refused; ``*`` for all."""
    parked: str = ""
    """The same of the order that waits in the lot, and its key behind it."""
    pauses: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds that handlers of payments take."""
    handlers: list[str] = field(default_factory=list[str])
    """Which ones payments has; none means all."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of the service."""


def name_of(task: Task) -> str:
    """Name the service, which is the same in all processes of one role and run."""
    return f"{task.run}-{task.role}"


def service_of(task: Task) -> Service[SqlTransaction]:
    """Build the service that *task* asks for."""
    service = Service[SqlTransaction](
        name_of(task),
        broker=task.broker,
        store=task.store,
        retry=RETRY,
        create_topics=True,
        **task.options,
    )
    build = {"payments": _payments, "ledger": _ledger}[task.role]
    build(service, events_of(task.run), task)
    return service


async def write_effect(ctx: Context[SqlTransaction], task: Task, event: Order | Taken) -> None:
    """Write one row, wherever the handler is called once more."""
    by = event.by if isinstance(event, Taken) else ctx.handler
    row = {"run": name_of(task), "handler": by, "id": ctx.id, "process": os.getpid()}
    row |= {"key": event.key, "number": event.number}
    await ctx.transaction.connection.execute(EFFECT, row)
    reached(OWN_WRITE)


def _payments(service: Service[SqlTransaction], events: Events, task: Task) -> None:
    """React to orders in each of the ways that a handler can have its end written."""
    _within(service, events, task)
    _outside(service, events, task)


def _within(service: Service[SqlTransaction], events: Events, task: Task) -> None:
    """Add the handlers that run in their event's transaction."""
    taken, emits = events.taken, [events.taken]

    async def charge(order: Order, ctx: Context[SqlTransaction]) -> None:
        place = f"{order.key}/{order.number}"
        await write_effect(ctx, task, order)
        await asyncio.sleep(task.pauses.get("charge", 0))
        reached(OWN_WRITTEN)
        if place == task.flaky and ctx.attempt < 3:
            raise OSError("it fails twice")
        if task.refused in {place, ANY}:
            raise Reject("never")
        await ctx.publish(taken(key=order.key, number=order.number, by="charge"))

    async def deliver(order: Order, ctx: Context[SqlTransaction]) -> None:
        await write_effect(ctx, task, order)
        reached(OWN_WRITTEN)
        if f"{order.key}/{order.number}" == task.parked and ctx.attempt < 4:
            raise OSError("it is parked, and put off there")
        await ctx.publish(taken(key=order.key, number=order.number, by="deliver"))

    if _wanted(task, "charge"):
        service.on(events.order, publishes=emits)(charge)
    if _wanted(task, "deliver"):
        service.on(events.order, publishes=emits, retry=TWICE, on_failure=PARK)(deliver)


def _outside(service: Service[SqlTransaction], events: Events, task: Task) -> None:
    """Add the handlers whose event's end is written afterwards."""
    taken, emits = events.taken, [events.taken]

    async def announce(order: Order, ctx: Context) -> None:
        await ctx.publish(taken(key=order.key, number=order.number, by="announce"))

    async def remind(order: Order, ctx: Context) -> None:
        reached(OWN_ACT)
        await asyncio.sleep(task.pauses.get("remind", 0))
        reached(OWN_ACTED)
        await ctx.publish(taken(key=order.key, number=order.number, by="remind"))

    if _wanted(task, "announce"):
        service.on(events.order, publishes=emits)(announce)
    if _wanted(task, "remind"):
        service.on(events.order, publishes=emits, lease=LEASE)(remind)


def _wanted(task: Task, handler: str) -> bool:
    return not task.handlers or handler in task.handlers


def _ledger(service: Service[SqlTransaction], events: Events, task: Task) -> None:
    async def book(taken: Taken, ctx: Context[SqlTransaction]) -> None:
        await write_effect(ctx, task, taken)

    service.on(events.taken)(book)


class Duplicates(Journals):
    """Makes a point of every duplicate that was not handled again."""

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        if outcome is Outcome.DUPLICATE:
            reached(DUPLICATE)


async def serve(task: Task, ready: Callable[[], None]) -> None:
    """Run until told to stop by SIGTERM; call *ready* once events are handled."""
    current = asyncio.current_task()
    assert current is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, current.cancel)
    try:
        async with started(service_of(task), journals=[Duplicates(())]) as running:
            ready()
            await running.wait()
    except asyncio.CancelledError:
        return

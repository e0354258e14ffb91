"""Services that the commands are tried on, as a user would write them."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from choreo import Context, Event, Reject, Retry, Service

STEM = os.environ.get("CLI_STEM", "cli")
"""Begins every name, so that no two tests meet on one broker."""


class OrderPlaced(Event, topic=f"{STEM}-orders", key="order_id"):
    order_id: str
    total: int = 0
    """Milliseconds that charging takes; what is negative is rejected."""


class PaymentTaken(Event, topic=f"{STEM}-payments", key="order_id"):
    order_id: str
    by: int


class TickHeard(Event, topic=f"{STEM}-ticks", key="number"):
    number: int


payments = Service(f"{STEM}-payments", retry=Retry(attempts=2, initial=timedelta(milliseconds=10)))


@payments.on(OrderPlaced)
async def charge(order: OrderPlaced) -> PaymentTaken:
    note(f"begin {order.order_id} {os.getpid()}")
    if order.total < 0 and "CLI_MENDED" not in os.environ:
        raise Reject(f"order {order.order_id}: a negative total")
    await asyncio.sleep(order.total / 1000)
    note(f"end {order.order_id} {os.getpid()}")
    return PaymentTaken(order_id=order.order_id, by=os.getpid())


@asynccontextmanager
async def beginning(service: Service) -> AsyncGenerator[None]:
    """Set the ticks going."""
    await service.publish(TickHeard(number=1))
    yield


ticker = Service(f"{STEM}-ticker", lifespan=beginning)


@ticker.on(TickHeard)
async def tick(heard: TickHeard, ctx: Context) -> AsyncIterator[TickHeard | OrderPlaced]:
    """Place an order and go on, for as long as the process lives."""
    yield OrderPlaced(order_id=ctx.id, total=20)
    await asyncio.sleep(0.002)
    yield TickHeard(number=heard.number + 1)


blocking = Service(f"{STEM}-blocking", lifespan=beginning)


@blocking.on(TickHeard)
async def block(heard: TickHeard) -> None:
    """Hold the loop itself, which only a second signal gets out of."""
    note(f"blocked {heard.number}")
    time.sleep(120)  # noqa: ASYNC251 -- wrong on purpose


threaded = Service(
    f"{STEM}-threaded",
    lifespan=beginning,
    deadline=timedelta(seconds=0.2),
    grace=timedelta(seconds=0.1),
    drain=timedelta(seconds=0.5),
)


@threaded.on(TickHeard)
def hang(heard: TickHeard) -> None:
    """Hang in a thread, which nothing can cancel."""
    note(f"hung {heard.number}")
    time.sleep(120)


collected = Service(f"{STEM}-collected", lifespan=beginning)


@collected.on(TickHeard)
async def look(_: TickHeard) -> None:
    """Tell how the collector of the process is set."""
    note(f"{gc.get_threshold()[0]} {gc.get_freeze_count()}")


@asynccontextmanager
async def failing(_: Service) -> AsyncGenerator[None]:
    """Fail at start."""
    raise RuntimeError("no luck today")
    yield


unlucky = Service(f"{STEM}-unlucky", lifespan=failing)
twin = Service(f"{STEM}-payments")


def made() -> Service:
    return Service(f"{STEM}-made")


def broken() -> Service:
    raise RuntimeError("no luck today")


def note(line: str) -> None:
    """Append to the file that the test reads."""
    with Path(os.environ["CLI_NOTES"]).open("a") as file:
        file.write(line + "\n")

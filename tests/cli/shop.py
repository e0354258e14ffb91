"""Services that the commands are tried on, as a user would write them."""

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

from choreo import Context, Event, Reject, Retry, Service


class OrderPlaced(Event, topic="cli-orders", key="order_id"):
    order_id: str
    total: int = 0


class PaymentTaken(Event, topic="cli-payments", key="order_id"):
    order_id: str
    by: int


payments = Service("cli-payments", retry=Retry(attempts=2, initial=timedelta(milliseconds=10)))


@payments.on(OrderPlaced)
async def charge(order: OrderPlaced) -> PaymentTaken:
    note(f"begin {order.order_id} {os.getpid()}")
    if order.total < 0:
        raise Reject(f"order {order.order_id}: a negative total")
    await asyncio.sleep(order.total / 1000)
    note(f"end {order.order_id} {os.getpid()}")
    return PaymentTaken(order_id=order.order_id, by=os.getpid())


def made() -> Service:
    return Service("cli-made")


def broken() -> Service:
    raise RuntimeError("no luck today")


feeder = Service("cli-feeder")


@feeder.on(OrderPlaced, publishes=[OrderPlaced])
async def go_on(order: OrderPlaced, ctx: Context) -> None:
    """Keep events coming for as long as the process lives."""
    note(f"fed {order.order_id}")
    number = int(order.order_id) + 1
    await asyncio.sleep(0.005)
    await ctx.publish(OrderPlaced(order_id=str(number), total=20))


stuck = Service("cli-stuck")


@stuck.on(OrderPlaced)
async def block(order: OrderPlaced) -> None:
    """Hold the loop itself, which only a second signal gets out of."""
    note(f"stuck {order.order_id}")
    time.sleep(60)  # noqa: ASYNC251 -- wrong on purpose


threaded = Service("cli-threaded", deadline=0.2, grace=0.1)


@threaded.on(OrderPlaced)
def hang(order: OrderPlaced) -> None:
    """Hang in a thread, which nothing can cancel."""
    note(f"hung {order.order_id}")
    time.sleep(60)


def note(line: str) -> None:
    """Append to the file that the test reads."""
    with Path(os.environ["CLI_NOTES"]).open("a") as file:
        file.write(line + "\n")

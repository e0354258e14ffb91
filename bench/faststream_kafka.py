"""FastStream on aiokafka, as its documentation has it, without its log lines."""

import asyncio
from uuid import uuid4

from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from bench.events import Order, Receipt, Tally
from bench.measure import Stopwatch, Taken

STOP_SECONDS = 5.0
"""It was seen to sit idle in its stop after it had left the group."""


async def consume(
    bootstrap: str,
    count: int,
    *,
    at_least_once: bool = False,
    seconds: float = 0.0,
    workers: int = 1,
) -> Taken:
    """Handle *count* orders; with several workers each partition keeps its order."""
    broker = KafkaBroker(bootstrap, logger=None)
    tally, watch, done = Tally(count), Stopwatch(), asyncio.Event()
    policy = AckPolicy.ACK if at_least_once or workers > 1 else AckPolicy.ACK_FIRST

    @broker.subscriber(
        "bench-orders",
        group_id=f"bench-{uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        ack_policy=policy,
        max_workers=workers,
    )
    async def handle(order: Order) -> None:
        watch.begin()
        if seconds:
            await asyncio.sleep(seconds)
        if not done.is_set() and tally.note(order):
            done.set()

    return await _until(broker, done, watch, count)


async def consume_publish(bootstrap: str, count: int) -> Taken:
    """Handle *count* orders and answer each by ``@publisher``."""
    broker = KafkaBroker(bootstrap, logger=None, acks="all", enable_idempotence=True)
    tally, watch, done = Tally(count), Stopwatch(), asyncio.Event()

    @broker.publisher("bench-receipts")
    @broker.subscriber(
        "bench-orders", group_id=f"bench-{uuid4().hex[:8]}", auto_offset_reset="earliest"
    )
    async def answer(order: Order) -> Receipt:
        watch.begin()
        if not done.is_set() and tally.note(order):
            done.set()
        return Receipt(customer=order.customer, number=order.number)

    return await _until(broker, done, watch, count)


async def _until(broker: KafkaBroker, done: asyncio.Event, watch: Stopwatch, count: int) -> Taken:
    await broker.start()
    try:
        await done.wait()
        return watch.took(count)
    finally:
        stopping = asyncio.ensure_future(broker.stop())
        await asyncio.wait({stopping}, timeout=STOP_SECONDS)
        stopping.cancel()

"""The peer that all others are built on: aiokafka in a loop of one's own."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.events import Order, Receipt, Tally
from bench.measure import Stopwatch, Taken

POLL = 500


async def consume(bootstrap: str, count: int, *, emits: bool = False) -> Taken:
    """Take *count* orders with ``getmany``; with *emits* send a receipt for each, and gather."""
    consumer = AIOKafkaConsumer(
        "bench-orders",
        bootstrap_servers=bootstrap,
        group_id=f"bench-{uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = _producer(bootstrap)
    tally, watch = Tally(count), Stopwatch()

    async def handle(order: Order) -> Receipt | None:
        tally.note(order)
        return Receipt(customer=order.customer, number=order.number) if emits else None

    await consumer.start()
    await producer.start()
    try:
        while tally.count < count:
            batch = await consumer.getmany(timeout_ms=1_000, max_records=POLL)
            if batch:
                watch.begin()
            sent: list[asyncio.Future[object]] = []
            for record in (record for records in batch.values() for record in records):
                receipt = await handle(Order.model_validate_json(record.value))
                if receipt is not None:
                    body, headers = receipt.model_dump_json().encode(), list(record.headers[:5])
                    sent.append(
                        await producer.send("bench-receipts", body, record.key, headers=headers)
                    )
            if sent:
                await asyncio.gather(*sent)
        return watch.took(count)
    finally:
        await consumer.stop()
        await producer.stop()


async def publish(bootstrap: str, events: Sequence[Order], call: int) -> Taken:
    """Send *events* with five headers each, and gather after every *call* of them."""
    headers = [(f"ce_{name}", b"as long as most of them") for name in ("id", "source", "type")]
    headers += [("ce_specversion", b"1.0"), ("content-type", b"application/json")]
    producer = _producer(bootstrap)
    watch = Stopwatch()

    async def send(part: Sequence[Order]) -> None:
        await asyncio.gather(
            *[
                await producer.send(
                    "bench-published",
                    order.model_dump_json().encode(),
                    order.customer.encode(),
                    headers=headers,
                )
                for order in part
            ]
        )

    await producer.start()
    try:
        await send(events[:call])
        watch.begin()
        for start in range(0, len(events), call):
            await send(events[start : start + call])
        return watch.took(len(events))
    finally:
        await producer.stop()


def _producer(bootstrap: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)

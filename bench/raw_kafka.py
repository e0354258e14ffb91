"""The peer that all others are built on: aiokafka in a loop of one's own."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.events import Load, Order, Receipt, Tally
from bench.measure import Stopwatch, Taken

POLL = 500
HEADERS: list[tuple[str, str | bytes | None]] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"01a227f4-831b-721e-b623-57d44b2980a7"),
    ("ce_source", b"urn:choreo:shop"),
    ("ce_type", b"Order.v1"),
    ("content-type", b"application/json"),
    ("ce_time", b"2026-11-29T15:37:45.499700Z"),
    ("ce_partitionkey", b"customer-2"),
    ("ce_correlationid", b"01a227f4-831b-721e-b623-57d44b2980a7"),
]
"""As many as choreo writes for an event that nothing led to, and as long."""


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
                    body, headers = receipt.model_dump_json().encode(), list(record.headers)
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
    """Send *events* with eight headers each, and gather after every *call* of them."""
    producer = _producer(bootstrap)
    watch = Stopwatch()

    async def send(part: Sequence[Order]) -> None:
        await asyncio.gather(
            *[
                await producer.send(
                    "bench-published",
                    order.model_dump_json().encode(),
                    order.customer.encode(),
                    headers=HEADERS,
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


@asynccontextmanager
async def handling(
    bootstrap: str, topic: str, handle: Callable[[Load], object]
) -> AsyncGenerator[None]:
    """Hand over whatever comes to *topic* from now on."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, enable_auto_commit=False)

    async def loop() -> None:
        while True:
            batch = await consumer.getmany(timeout_ms=1_000, max_records=POLL)
            for record in (record for records in batch.values() for record in records):
                handle(Load.model_validate_json(record.value or b""))

    await consumer.start()
    looping = asyncio.create_task(loop())
    try:
        yield
    finally:
        looping.cancel()
        await asyncio.wait({looping})
        await consumer.stop()


@asynccontextmanager
async def sending(
    bootstrap: str, topic: str
) -> AsyncGenerator[Callable[[Sequence[Load]], Awaitable[None]]]:
    """Give what sends events to *topic*, and gathers."""
    producer = _producer(bootstrap)

    async def send(events: Sequence[Load]) -> None:
        sent = [
            await producer.send(
                topic, load.model_dump_json().encode(), load.customer.encode(), headers=HEADERS
            )
            for load in events
        ]
        await asyncio.gather(*sent)

    await producer.start()
    try:
        yield send
    finally:
        await producer.stop()


def _producer(bootstrap: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)

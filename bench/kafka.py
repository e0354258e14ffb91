"""Real Kafka through the whole pipeline, against raw aiokafka doing the same work."""

import asyncio
from time import perf_counter
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.events import Order, Receipt, Tally, orders
from bench.measure import Result, side_by_side
from choreo import Service
from choreo.runner import started

COUNT = 20_000
TOPICS = ("bench-orders", "bench-receipts")


async def fill(bootstrap: str) -> None:
    """Write the orders that every measure reads; the topics exist."""
    shop = Service("bench-shop", broker=f"kafka://{bootstrap}")
    async with started(shop):
        await shop.publish_many(orders(COUNT))


async def kafka_consume(runs: int, bootstrap: str) -> Result:
    """Measure ``kafka_consume``: choreo ÷ ``getmany(500)``, validate, await the handler."""

    async def ours() -> float:
        return await _choreo(bootstrap, emits=False)

    async def raw() -> float:
        return await _raw(bootstrap, emits=False)

    return await side_by_side("kafka_consume", ours, raw, runs=runs)


async def kafka_consume_publish(runs: int, bootstrap: str) -> Result:
    """Measure ``kafka_consume_publish``: one event out per event in; the peer sends and gathers."""

    async def ours() -> float:
        return await _choreo(bootstrap, emits=True)

    async def raw() -> float:
        return await _raw(bootstrap, emits=True)

    return await side_by_side("kafka_consume_publish", ours, raw, runs=runs)


async def _choreo(bootstrap: str, *, emits: bool) -> float:
    service = Service(f"bench-{uuid4().hex[:8]}", broker=f"kafka://{bootstrap}")
    tally, done = Tally(COUNT), asyncio.Event()
    begun = 0.0

    def note(order: Order) -> None:
        nonlocal begun
        begun = begun or perf_counter()
        if tally.note(order):
            done.set()

    if emits:

        @service.on(Order)
        async def answer(order: Order) -> Receipt:
            note(order)
            return Receipt(customer=order.customer, number=order.number)
    else:

        @service.on(Order)
        async def handle(order: Order) -> None:
            note(order)

    async with started(service) as running:
        await done.wait()
        assert running.worker is not None
        await running.worker.idle()
        return COUNT / (perf_counter() - begun)


async def _raw(bootstrap: str, *, emits: bool) -> float:
    consumer = AIOKafkaConsumer(
        "bench-orders",
        bootstrap_servers=bootstrap,
        group_id=f"bench-{uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    tally = Tally(COUNT)
    begun = 0.0

    async def handle(order: Order) -> Receipt:
        tally.note(order)
        return Receipt(customer=order.customer, number=order.number)

    await consumer.start()
    await producer.start()
    try:
        while tally.count < COUNT:
            batch = await consumer.getmany(timeout_ms=1_000, max_records=500)
            begun = begun or (perf_counter() if batch else 0.0)
            sent = []
            for records in batch.values():
                for record in records:
                    receipt = await handle(Order.model_validate_json(record.value))
                    if emits:
                        body = receipt.model_dump_json().encode()
                        headers = list(record.headers[:5])
                        sent.append(
                            await producer.send("bench-receipts", body, record.key, headers=headers)
                        )
            if sent:
                await asyncio.gather(*sent)
        return COUNT / (perf_counter() - begun)
    finally:
        await consumer.stop()
        await producer.stop()

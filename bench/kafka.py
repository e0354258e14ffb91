"""Real Kafka through the whole pipeline, against raw aiokafka and FastStream at the same work."""

import asyncio
from functools import partial
from uuid import uuid4

from bench import faststream_kafka, raw_confluent, raw_kafka
from bench.events import KEYS, Order, Receipt, Tally, orders
from bench.measure import Result, Run, Stopwatch, Taken, side_by_side
from choreo import Service
from choreo.runner import started

COUNT = 40_000
TOPICS = ("bench-orders", "bench-receipts", "bench-published", "bench-loads", "bench-raw-loads")
PARTITIONS = 8
SLOW_PEER = 10_000
"""Events for a peer that needs a hundred times as long for each."""
CALL = 500
"""Events in one call of publish_many."""


async def fill(bootstrap: str) -> None:
    """Write the orders that every measure reads; the topics exist."""
    async with started(Service("bench-shop", broker=f"kafka://{bootstrap}")) as shop:
        await shop.publish(orders(COUNT))


async def kafka_consume(runs: int, bootstrap: str) -> Result:
    """Measure ``kafka_consume``: choreo ÷ ``getmany(500)``, validate, await the handler."""
    raw = partial(raw_kafka.consume, bootstrap, COUNT)
    return await side_by_side("kafka_consume", _consuming(bootstrap), raw, runs=runs)


async def kafka_consume_publish(runs: int, bootstrap: str) -> Result:
    """Measure ``kafka_consume_publish``: one event out per event in; the peer sends and gathers."""
    name = "kafka_consume_publish"
    raw = partial(raw_kafka.consume, bootstrap, COUNT, emits=True)
    ours = _consuming(bootstrap, emits=True)
    return await side_by_side(name, ours, raw, runs=min(runs, 3))


async def kafka_consume_vs_confluent(runs: int, bootstrap: str) -> Result:
    """Measure choreo ÷ confluent-kafka's ``consume(500)``, validate, await the handler."""
    raw = partial(raw_confluent.consume, bootstrap, COUNT)
    name = "kafka_consume_vs_confluent"
    return await side_by_side(name, _consuming(bootstrap), raw, runs=min(runs, 3))


async def kafka_consume_vs_faststream(runs: int, bootstrap: str) -> Result:
    """Measure choreo ÷ FastStream at its fastest that keeps order: at most once, logs off."""
    peer = partial(faststream_kafka.consume, bootstrap, SLOW_PEER)
    name = "kafka_consume_vs_faststream"
    return await side_by_side(name, _consuming(bootstrap), peer, runs=min(runs, 3))


async def kafka_consume_vs_faststream_at_least_once(runs: int, bootstrap: str) -> Result:
    """Measure choreo ÷ FastStream with its ACK policy: it commits after each event."""
    peer = partial(faststream_kafka.consume, bootstrap, 300, at_least_once=True)
    name = "kafka_consume_vs_faststream_at_least_once"
    return await side_by_side(name, _consuming(bootstrap), peer, runs=min(runs, 3))


async def kafka_consume_publish_vs_faststream(runs: int, bootstrap: str) -> Result:
    """Measure choreo ÷ FastStream's ``@publisher``, one event out per event in."""
    peer = partial(faststream_kafka.consume_publish, bootstrap, 2_000)
    ours = _consuming(bootstrap, emits=True)
    name = "kafka_consume_publish_vs_faststream"
    return await side_by_side(name, ours, peer, runs=min(runs, 3))


async def keyed_5ms(runs: int, bootstrap: str) -> Result:
    """Measure a handler of 5 ms over 1,000 keys ÷ FastStream with 8 workers on 8 partitions."""
    ours = _consuming(bootstrap, seconds=0.005, concurrency=KEYS)
    peer = partial(faststream_kafka.consume, bootstrap, 1_500, seconds=0.005, workers=PARTITIONS)
    return await side_by_side("keyed_5ms", ours, peer, runs=min(runs, 3))


async def publish_many(runs: int, bootstrap: str) -> Result:
    """Measure ``publish_many`` of 500 ÷ aiokafka's ``send`` of 500 and gather, per event."""
    peer = partial(raw_kafka.publish, bootstrap, orders(COUNT // 2), CALL)
    return await side_by_side("publish_many", _publishing(bootstrap), peer, runs=runs)


async def publish_many_vs_confluent(runs: int, bootstrap: str) -> Result:
    """Measure ``publish_many`` of 500 ÷ confluent-kafka's ``produce`` of 500 and flush."""
    peer = partial(raw_confluent.publish, bootstrap, orders(COUNT // 2), CALL)
    name = "publish_many_vs_confluent"
    return await side_by_side(name, _publishing(bootstrap), peer, runs=min(runs, 3))


def _publishing(bootstrap: str) -> Run:
    events = orders(COUNT // 2)
    shop = Service("bench-shop", broker=f"kafka://{bootstrap}")

    async def run() -> Taken:
        async with started(shop):
            await shop.publish_many(events[:CALL])
            watch = Stopwatch()
            watch.begin()
            for start in range(0, len(events), CALL):
                await shop.publish_many(events[start : start + CALL])
            return watch.took(len(events))

    return run


def _consuming(
    bootstrap: str, *, emits: bool = False, seconds: float = 0.0, concurrency: int = 100
) -> Run:
    async def run() -> Taken:
        name = f"bench-{uuid4().hex[:8]}"
        tally, watch, done = Tally(COUNT), Stopwatch(), asyncio.Event()
        service = Service(name, broker=f"kafka://{bootstrap}", concurrency=concurrency)

        async def handle(order: Order) -> None:
            watch.begin()
            if seconds:
                await asyncio.sleep(seconds)
            if tally.note(order):
                done.set()

        async def answer(order: Order) -> Receipt:
            watch.begin()
            if tally.note(order):
                done.set()
            return Receipt(customer=order.customer, number=order.number)

        service.on(Order)(answer if emits else handle)
        async with started(service) as running:
            await done.wait()
            assert running.worker is not None
            await running.worker.idle()
            return watch.took(COUNT)

    return run

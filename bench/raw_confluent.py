"""Another peer beneath: confluent-kafka, which is librdkafka in C, in a loop of one's own."""

from collections.abc import Sequence
from uuid import uuid4

from confluent_kafka import Consumer, Message, Producer

from bench.events import Order, Tally
from bench.measure import Stopwatch, Taken
from bench.raw_kafka import HEADERS

POLL = 500
ROOM = 100_000
"""Messages that wait in librdkafka; more than are ever under way."""


async def consume(bootstrap: str, count: int) -> Taken:
    """Take *count* orders, 500 at a time; each waits for its handler, and nothing is committed."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"bench-{uuid4().hex[:8]}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    tally, watch = Tally(count), Stopwatch()

    async def handle(order: Order) -> None:
        tally.note(order)

    consumer.subscribe(["bench-orders"])
    try:
        while tally.count < count:
            # A call that waits holds up the event loop, in which there is nothing else to do here.
            records = consumer.consume(POLL, timeout=1.0)
            if records:
                watch.begin()
            for record in records:
                assert record.error() is None
                body = record.value()
                assert body is not None
                await handle(Order.model_validate_json(body))
        return watch.took(count)
    finally:
        consumer.close()


async def publish(bootstrap: str, events: Sequence[Order], call: int) -> Taken:
    """Produce *events* with eight headers each, and wait for the last word after every *call*."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "queue.buffering.max.messages": ROOM,
        }
    )
    accepted, watch = 0, Stopwatch()

    def told(error: object, _: Message) -> None:
        nonlocal accepted
        assert error is None
        accepted += 1

    def send(part: Sequence[Order]) -> None:
        for order in part:
            body, key = order.model_dump_json(), order.customer
            producer.produce("bench-published", body, key, headers=HEADERS, on_delivery=told)
            producer.poll(0)
        producer.flush()

    send(events[:call])
    watch.begin()
    for start in range(0, len(events), call):
        send(events[start : start + call])
    took = watch.took(len(events))
    assert accepted == len(events) + call
    return took

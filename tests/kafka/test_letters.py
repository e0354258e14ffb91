"""A dead letter is larger than its message, and Kafka's largest message may lie between them."""

import asyncio
from collections.abc import Callable
from random import Random

from choreo import Event, Message, Reject, Service
from choreo.broker import Broker, open_broker
from choreo.dead_letter import dead_letter_filter, original
from choreo.message import Delivery
from choreo.packing import BODY
from choreo.runner import started
from tests.local import KafkaPart
from tests.patience import patient


async def letters_of(broker: Broker, name: str) -> list[Delivery]:
    async with broker.browse(dead_letter_filter(name, broker.capabilities)) as reading:
        return [letter async for letter in reading]


def event(topic: str, identity: int, track: bytes) -> Message:
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"%d" % identity),
        ("ce_source", b"urn:elsewhere"),
        ("ce_type", b"letters.Here.v1"),
    ]
    return Message(topic, b'{"track": "%s"}' % track, b"one", headers)


async def test_a_letter_larger_than_kafka_takes_is_deflated_and_its_neighbour_is_not(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    topic, name = fresh_name("large"), fresh_name("shop")

    class Here(Event, topic=topic, key="track", domain="letters"):
        track: str

    real_kafka.create_topic(topic, partitions=1)
    largest = {"max.message.bytes": "4000"}
    real_kafka.admin.create_topic(f"choreo.dlq.{name}", partitions=1, config=largest)
    shop = Service(name, broker=real_kafka.url)

    @shop.on(Here)
    async def walk(here: Here) -> None:
        raise Reject("never")

    digits = "".join(Random(1).choices("0123456789abcdef", k=3900)).encode()
    sent = [event(topic, place, track) for place, track in enumerate((digits, b"small"))]
    async with started(shop) as running, open_broker(real_kafka.url) as broker:
        await broker.publish(sent)
        async with asyncio.timeout(patient(30)):
            while len(found := await letters_of(broker, name)) < 2:
                await asyncio.sleep(0.1)
        assert running.worker is not None
        await running.worker.idle()

    large, small = found
    restored = [original(letter) for letter in found]
    assert dict(large.headers)[BODY] == b"deflate"
    assert small.body == sent[1].body
    assert [(m.body, m.key, list(m.headers)) for m in restored] == [
        (m.body, m.key, list(m.headers)) for m in sent
    ]

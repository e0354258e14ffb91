"""Keys go where every other Kafka client in their default settings of Java puts them."""

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from choreo.message import Message
from choreo_kafka import KafkaBroker
from choreo_kafka.partitioner import KEPT, Partitioner
from tests.kafka.ear import Ear, receive, subscription
from tests.local.parts import KafkaPart

# Signed murmur2 of these keys as Kafka's own unit tests (UtilsTest) list them.
GOLDEN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "murmur2"), GOLDEN.items())
def test_a_key_is_hashed_as_java_does(key: bytes, murmur2: int) -> None:
    """K26."""
    for partitions in (1, 3, 8, 1000):
        assert Partitioner(partitions)[key] == (murmur2 & 0x7FFFFFFF) % partitions


def test_a_remembered_key_keeps_its_partition() -> None:
    partitioner = Partitioner(7)
    first = [partitioner[b"%d" % key] for key in range(100)]
    for key in range(KEPT + 1):
        _ = partitioner[b"other %d" % key]

    assert len(partitioner) < KEPT
    assert [partitioner[b"%d" % key] for key in range(100)] == first


def test_messages_without_a_key_are_spread() -> None:
    partitioner = Partitioner(8)

    assert {partitioner.next() for _ in range(8)} == set(range(8))


async def test_librdkafka_in_javas_mode_puts_keys_where_we_do(
    kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """K26."""
    topic = kafka.create_topic(fresh_name("topic"), partitions=8)
    keys = [b"key-%d" % n for n in range(64)] + [b"", bytes(range(256))]
    other = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    for key in keys:
        other.produce(topic, key=key, value=b"theirs")
    other.flush(10)
    async with KafkaBroker(kafka.url) as broker:
        await broker.publish([Message(topic, b"ours", key) for key in keys])
        async with broker.subscribe(subscription(fresh_name("group"), topic), Ear()) as consumer:
            got = await receive(consumer, 2 * len(keys))

    streams = {
        body: {d.key: d.stream for d in got if d.body == body} for body in (b"ours", b"theirs")
    }
    # librdkafka spreads empty keys at random in this mode
    assert all(streams[b"ours"][key] == streams[b"theirs"][key] for key in keys if key)

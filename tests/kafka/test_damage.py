"""Batches that no client can read: nothing readable is lost around them (K16, K17, K32)."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from choreo.broker import TopicSpec
from choreo.message import Message
from choreo_kafka import KafkaBroker
from tests.conftest import StartKafka
from tests.kafka.ear import Ear, bodies, receive, subscription

MARK = b"this batch will be damaged"


def damage(folder: Path, topic: str) -> int:
    """Flip a bit in every batch holding MARK; return how many were found."""
    found = 0
    for segment in folder.glob(f"data/{topic}-*/*.log"):
        content = bytearray(segment.read_bytes())
        place = content.find(MARK)
        while place >= 0:
            content[place] ^= 1
            found += 1
            place = content.find(MARK, place)
        segment.write_bytes(content)
    return found


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_damaged_batch_is_passed_and_nothing_else_is_missing(
    kafka_cluster: StartKafka, fresh_name: Callable[[str], str]
) -> None:
    cluster = await asyncio.to_thread(kafka_cluster)
    (node,) = cluster.nodes
    topic = fresh_name("topic")
    async with KafkaBroker(f"kafka://{cluster.bootstrap}") as broker:
        await broker.prepare([TopicSpec(name=topic, create=True, partitions=2)])
        sent: set[bytes] = set()
        for batch in range(4):
            good = [b"%d/%d" % (batch, n) for n in range(20)]
            await broker.publish([Message(topic, body, b"%d" % n) for n, body in enumerate(good)])
            sent.update(good)
            if batch in {1, 2}:  # one damaged batch of three records, on one partition
                await broker.publish([Message(topic, MARK, b"key")] * 3)
    await asyncio.to_thread(node.terminate)
    assert damage(node.folder, topic) == 6
    await asyncio.to_thread(cluster.start)

    ear = Ear()
    async with (
        KafkaBroker(f"kafka://{cluster.bootstrap}") as broker,
        broker.subscribe(subscription("group", topic), ear) as consumer,
    ):
        got = await receive(consumer, len(sent))
        await consumer.flush()
        end = [(p.settled, p.end) for p in consumer.progress()]

    assert sorted(bodies(got), key=repr) == sorted(sent)
    assert [notice.missing for notice in ear.of("gap")] == [3, 3]
    assert all(settled == last for settled, last in end)
    assert ear.of("rebuilt") == []  # a record is no reason to replace the client

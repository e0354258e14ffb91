"""Brokers that fall silent or die under load."""

import asyncio
from collections.abc import Callable

import pytest

from choreo.broker import TopicSpec
from choreo.errors import PublishError
from choreo.message import Message
from choreo_kafka import KafkaBroker
from tests.conftest import StartKafka
from tests.kafka.ear import Ear, receive, subscription, until
from tests.patience import patient

OPTIONS = "session_timeout=3&stall_timeout=3&publish_timeout=5&close_timeout=1&connect_timeout=3"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


async def insist(broker: KafkaBroker, message: Message) -> None:
    """Publish until it is accepted."""
    while True:
        try:
            await broker.publish([message])
        except PublishError:
            continue
        return


async def test_a_broker_that_falls_silent_is_noticed_and_returned_to(
    kafka_cluster: StartKafka, fresh_name: Callable[[str], str]
) -> None:
    """K19, P3: connections stay open and nothing is answered."""
    cluster = await asyncio.to_thread(kafka_cluster)
    (node,) = cluster.nodes
    topic, ear = fresh_name("topic"), Ear()
    async with KafkaBroker(f"kafka://{cluster.bootstrap}?{OPTIONS}") as broker:
        await broker.prepare([TopicSpec(name=topic, create=True, partitions=2)])
        async with broker.subscribe(subscription("group", topic), ear) as consumer:
            await broker.publish([Message(topic, b"before", b"key")])
            await receive(consumer, 1)

            node.freeze()
            try:
                with pytest.raises(PublishError) as told:
                    async with asyncio.timeout(patient(8)):
                        await broker.publish([Message(topic, b"lost?", b"key")])
                await until(lambda: ear.of("rebuilt"))
            finally:
                node.thaw()
            async with asyncio.timeout(patient(30)):
                await insist(broker, Message(topic, b"after", b"key"))
                got: list[bytes | None] = []
                while b"after" not in got:
                    batch = await consumer.poll(10)
                    consumer.settle(batch)
                    got += [delivery.body for delivery in batch]

    assert set(told.value.unknown) == {0}


async def test_what_was_accepted_survives_its_leader(
    kafka_cluster: StartKafka, fresh_name: Callable[[str], str]
) -> None:
    """P1, K34, F6: a leader is killed under load; all that was accepted is read, in order."""
    cluster = await asyncio.to_thread(kafka_cluster, nodes=3)
    topic = fresh_name("topic")
    accepted: list[bytes] = []
    async with KafkaBroker(f"kafka://{cluster.bootstrap}?{OPTIONS}&replication=3") as broker:
        await broker.prepare([TopicSpec(name=topic, create=True, partitions=2)])
        killed = asyncio.Event()

        async def load() -> None:
            number, after = 0, 0
            while after < 50:
                message = Message(topic, b"%05d" % number, b"key")
                number += 1
                try:
                    await broker.publish([message])
                except PublishError:
                    continue
                accepted.append(message.body or b"")
                after += killed.is_set()

        async with broker.subscribe(subscription("group", topic), Ear()) as consumer:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load())
                await until(lambda: len(accepted) > 100)
                await asyncio.to_thread(lambda: cluster.leader(topic).kill())
                killed.set()
            got: list[bytes] = []
            async with asyncio.timeout(patient(60)):
                while not set(accepted) <= set(got):
                    batch = await consumer.poll(100)
                    consumer.settle(batch)
                    got += [delivery.body or b"" for delivery in batch]

    first_times = list(dict.fromkeys(got))
    assert first_times == sorted(first_times)

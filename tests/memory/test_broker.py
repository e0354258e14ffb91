# ruff: noqa: SIM117 -- one scope a line reads best here; listeners may ignore streams

import asyncio
from dataclasses import replace

import pytest

from choreo.broker import TopicFilter, TopicSpec
from choreo.errors import BrokerError, ConfigurationError, PublishError
from choreo.message import Message
from choreo.testing.clock import rest
from choreo_memory import MemoryBroker
from tests.memory.ear import ALL, TOPIC, Ear, keyed


class TestRetention:
    async def test_what_no_group_needs_is_dropped_beyond_the_retention(self) -> None:
        async with MemoryBroker("memory://short?partitions=1&retention=100") as broker:
            for start in range(0, 5000, 500):
                await broker.publish(keyed(500, start))
            async with broker.browse(TopicFilter(TOPIC)) as reading:
                bodies = [int(d.body or b"") async for d in reading]

        assert bodies[-1] == 4999
        assert 100 <= len(bodies) <= 100 + 1024 + 500

    async def test_what_a_group_has_not_settled_is_never_dropped(self) -> None:
        async with MemoryBroker("memory://needed?partitions=1&retention=0") as broker:
            async with broker.subscribe(ALL, Ear()) as consumer:
                await broker.publish(keyed(1))
                (oldest,) = await consumer.poll(1)
            for start in range(1, 5001, 500):
                await broker.publish(keyed(500, start))

            async with broker.subscribe(ALL, Ear()) as consumer:
                got = [*await consumer.poll(10_000)]
                assert [int(d.body or b"") for d in got] == list(range(5001))
                assert got[0].position == oldest.position
                consumer.settle(got)
            await broker.publish(keyed(2000, 5001))
            async with broker.browse(TopicFilter(TOPIC)) as reading:
                bodies = [int(d.body or b"") async for d in reading]

        assert bodies == list(range(5001, 7001))

    async def test_browsing_goes_on_where_records_were_dropped(self) -> None:
        async with MemoryBroker("memory://gone?partitions=1&retention=10") as broker:
            await broker.publish(keyed(1000))
            async with broker.browse(TopicFilter(TOPIC)) as reading:
                seen = [int((await anext(reading)).body or b"")]
                await broker.publish(keyed(2000, 1000))
                seen += [int(d.body or b"") async for d in reading]

        assert seen == list(range(256))  # the chunk it held; the rest of what was there is gone


class TestMisuse:
    async def test_two_polls_at_once_are_refused(self) -> None:
        async with MemoryBroker("memory://polls") as broker:
            async with broker.subscribe(ALL, Ear()) as consumer:
                polling = asyncio.create_task(consumer.poll(1))
                await rest()

                with pytest.raises(BrokerError, match="two polls"):
                    await consumer.poll(1)

                consumer.stop_intake()
                assert await polling == ()

    async def test_a_poll_for_nothing_is_refused(self) -> None:
        async with MemoryBroker("memory://none") as broker:
            async with broker.subscribe(ALL, Ear()) as consumer:
                with pytest.raises(ValueError, match="at least one"):
                    await consumer.poll(0)

    async def test_a_broker_is_opened_once_at_a_time_and_again_after_closing(self) -> None:
        broker = MemoryBroker("memory://twice")
        async with broker:
            with pytest.raises(BrokerError, match="open already"):
                await broker.__aenter__()
        async with broker:
            await broker.publish(keyed(1))

    async def test_a_subscription_without_group_or_topic_is_refused(self) -> None:
        async with MemoryBroker("memory://empty") as broker:
            for wrong in (replace(ALL, group=""), replace(ALL, topics=())):
                with pytest.raises(ConfigurationError, match="needs a group"):
                    async with broker.subscribe(wrong, Ear()):
                        pass

    async def test_a_topic_that_cannot_be_created_is_refused_in_advance(self) -> None:
        async with MemoryBroker("memory://names") as broker:
            with pytest.raises(ConfigurationError, match="a b"):
                await broker.prepare(
                    [TopicSpec(name="fine", create=True), TopicSpec(name="a b", create=True)]
                )
            with pytest.raises(ConfigurationError, match="'fine' does not exist"):
                await broker.prepare([TopicSpec(name="fine")])

    async def test_a_refused_message_leaves_the_others_accepted(self) -> None:
        async with MemoryBroker("memory://partly?max_message_bytes=10") as broker:
            sizes = (8, 9, 10, 1)
            with pytest.raises(PublishError, match="2 of 4") as caught:
                await broker.publish(
                    [Message(TOPIC, bytes(size), b"k", (("h", None),)) for size in sizes]
                )
            async with broker.browse(TopicFilter(TOPIC)) as reading:
                kept = [len(d.body or b"") async for d in reading]

        assert set(caught.value.refused) == {1, 2}  # key and header count too
        assert sorted(kept) == [1, 8]


async def test_a_service_that_is_never_idle_lets_others_run() -> None:
    async with MemoryBroker("memory://busy") as broker:
        async with broker.subscribe(ALL, Ear()) as consumer:
            await broker.publish(keyed(1000))
            turns = 0

            async def neighbour() -> None:
                nonlocal turns
                while True:
                    await asyncio.sleep(0)
                    turns += 1

            task = asyncio.create_task(neighbour())
            for _ in range(100):
                await consumer.poll(1)
            for _ in range(100):
                await broker.publish(keyed(256))
            task.cancel()
            await asyncio.wait([task])

    assert turns >= 150

# ruff: noqa: SIM117 -- one scope a line reads best here; listeners may ignore streams

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from choreo.broker import TopicFilter
from choreo.errors import ConnectionLost
from choreo.testing.clock import ManualClock, rest
from choreo_memory import MemoryBroker
from tests.memory.ear import ALL, TOPIC, Ear, keyed


class TestMembership:
    async def test_a_drain_lasts_as_long_as_the_clock_says(self) -> None:
        clock = ManualClock()

        class Slow(Ear):
            async def revoking(self, streams: Collection[str], /) -> None:
                await asyncio.Event().wait()

        slow = replace(ALL, drain=timedelta(hours=1))
        async with MemoryBroker("memory://drain", clock=clock) as broker:
            async with (
                broker.subscribe(slow, Slow()) as one,
                broker.subscribe(ALL, Ear()) as two,
            ):
                await broker.publish(keyed(100))
                await clock.advance(3599)
                assert two.progress() == []
                await clock.advance(2)
                assert len(two.progress()) == len(one.progress()) == 4

    async def test_a_listener_that_fails_is_logged_and_loses_its_streams(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Faulty(Ear):
            async def revoking(self, streams: Collection[str], /) -> None:
                raise RuntimeError("listener")

        async with MemoryBroker("memory://faulty") as broker:
            async with broker.subscribe(ALL, Faulty()), broker.subscribe(ALL, Ear()) as two:
                with caplog.at_level(logging.ERROR):
                    await rest()

                assert len(two.progress()) == 4
        assert "listener failed" in caplog.text

    async def test_members_of_different_topics_share_only_what_they_have_in_common(self) -> None:
        both = replace(ALL, topics=(TopicFilter(TOPIC), TopicFilter("payments")))
        async with MemoryBroker("memory://topics?partitions=2") as broker:
            async with broker.subscribe(ALL, Ear()) as one, broker.subscribe(both, Ear()) as two:
                await rest()

                streams = [sorted(p.stream for p in member.progress()) for member in (one, two)]
        assert streams == [["orders-0"], ["orders-1", "payments-0", "payments-1"]]

    async def test_more_members_than_partitions_leave_some_idle(self) -> None:
        async with MemoryBroker("memory://idle?partitions=1") as broker:
            async with broker.subscribe(ALL, Ear()) as one, broker.subscribe(ALL, Ear()) as two:
                await rest()

                assert [len(member.progress()) for member in (one, two)] == [1, 0]

    async def test_a_group_that_was_left_in_the_middle_of_a_rebalance_goes_on(self) -> None:
        async with MemoryBroker("memory://left") as broker:
            async with broker.subscribe(ALL, Ear()):
                async with broker.subscribe(ALL, Ear()):
                    await rest()
                # the departure of the second has begun a rebalance that has had no turn yet
            async with broker.subscribe(ALL, Ear()) as consumer:
                await broker.publish(keyed(10))
                assert len(await consumer.poll(10)) == 10

    async def test_a_crashed_client_does_nothing_more(self) -> None:
        broker = MemoryBroker("memory://crash")
        keep = MemoryBroker("memory://crash")
        async with broker, broker.subscribe(ALL, Ear()) as consumer:
            await broker.publish(keyed(10))
            got = await consumer.poll(10)

            broker.crash()

            consumer.settle(got)
            assert await consumer.poll(1) == ()
            with pytest.raises(ConnectionLost, match="crashed"):
                await broker.publish(keyed(1))
        async with keep, keep.subscribe(ALL, Ear()) as consumer:
            assert len(await consumer.poll(100)) == len(got)

    async def test_closing_the_broker_closes_its_consumers(self) -> None:
        async with MemoryBroker("memory://close") as broker:
            context = broker.subscribe(ALL, Ear())
            consumer = await context.__aenter__()
            polling = asyncio.create_task(consumer.poll(1))
            await asyncio.sleep(0)

        assert await polling == ()
        assert consumer.progress() == []
        await context.__aexit__(None, None, None)

    async def test_streams_are_told_of_as_they_come_and_go(self) -> None:
        ear = Ear()
        async with MemoryBroker("memory://notices?partitions=2") as broker:
            async with broker.subscribe(ALL, ear):
                pass

        assert [(notice.kind, notice.streams) for notice in ear.notices] == [
            ("assigned", ("orders-0", "orders-1")),
            ("revoked", ("orders-0", "orders-1")),
        ]

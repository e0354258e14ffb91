# ruff: noqa: SIM117, ARG002 -- one scope a line reads best here; listeners may ignore streams

import asyncio
import gc
import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from choreo.broker import Notice, Subscription, TopicFilter, TopicSpec, open_broker
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost, PublishError
from choreo.message import Delivery, Message
from choreo.testing.clock import ManualClock, rest
from choreo_memory import MemoryBroker, forget

TOPIC = "orders"
ALL = Subscription(group="g", topics=(TopicFilter(TOPIC),))


@dataclass
class Ear:
    """A listener that finishes at once."""

    notices: list[Notice] = field(default_factory=list[Notice])

    async def revoking(self, streams: Collection[str], /) -> None:
        pass

    def notice(self, notice: Notice, /) -> None:
        self.notices.append(notice)


def keyed(count: int, start: int = 0) -> list[Message]:
    return [Message(TOPIC, b"%d" % n, b"key-%d" % (n % 16)) for n in range(start, start + count)]


async def publish_and_take(url: str, count: int = 100) -> list[tuple[str, int, bytes | None]]:
    """Take what two members of a group are handed, the second joining half-way."""
    taken: list[tuple[str, int, bytes | None]] = []

    def note(member: str, got: Collection[Delivery]) -> None:
        taken.extend((member + d.stream, d.position, d.body) for d in got)

    async with MemoryBroker(url, clock=ManualClock()) as broker:
        async with broker.subscribe(ALL, Ear()) as one:
            await broker.publish(keyed(count))
            note("one ", await one.poll(count // 2))
            async with broker.subscribe(ALL, Ear()) as two:
                await rest()
                note("two ", await two.poll(count))
                note("one ", await one.poll(count))
    return taken


class TestName:
    async def test_brokers_of_one_name_share_a_log_and_others_do_not(self) -> None:
        async with MemoryBroker("memory://a") as a, MemoryBroker("memory://b") as b:
            await a.publish(keyed(1))
            async with MemoryBroker("memory://a/") as also_a:
                async with also_a.browse(TopicFilter(TOPIC)) as reading:
                    assert len([d async for d in reading]) == 1
            async with b.browse(TopicFilter(TOPIC)) as reading:
                assert [d async for d in reading] == []

    async def test_a_log_lives_as_long_as_a_broker_refers_to_it(self) -> None:
        keep = MemoryBroker("memory://kept")
        async with MemoryBroker("memory://kept") as broker:
            await broker.publish(keyed(3))
        del broker
        gc.collect()
        async with MemoryBroker("memory://kept") as broker:
            async with broker.browse(TopicFilter(TOPIC)) as reading:
                assert len([d async for d in reading]) == 3

        del broker, keep, reading
        gc.collect()
        async with MemoryBroker("memory://kept") as broker:
            async with broker.browse(TopicFilter(TOPIC)) as reading:
                assert [d async for d in reading] == []

    async def test_a_forgotten_log_is_begun_anew(self) -> None:
        async with MemoryBroker("memory://forgotten") as old:
            await old.publish(keyed(1))
            forget("memory://forgotten")
            async with MemoryBroker("memory://forgotten") as new:
                async with new.browse(TopicFilter(TOPIC)) as reading:
                    assert [d async for d in reading] == []

    def test_it_is_found_by_its_scheme(self) -> None:
        assert isinstance(open_broker("memory://"), MemoryBroker)

    @pytest.mark.parametrize(
        ("url", "text"),
        [
            ("kafka://a", "memory:// only"),
            ("memory://a?partition=3", "unknown option 'partition'"),
            ("memory://a?partitions=0", "≥ 1"),
            ("memory://a?partitions=many", "whole number"),
            ("memory://user:secret@a", "write memory://name"),
            ("memory://a#b", "write memory://name"),
        ],
    )
    def test_a_url_that_is_not_understood_is_refused(self, url: str, text: str) -> None:
        with pytest.raises(ConfigurationError, match=text):
            MemoryBroker(url)

    def test_one_name_has_one_set_of_options(self) -> None:
        keep = MemoryBroker("memory://options?partitions=3")

        with pytest.raises(ConfigurationError, match="other options"):
            MemoryBroker("memory://options?partitions=4")
        assert MemoryBroker("memory://options?partitions=3").url == keep.url

    async def test_a_log_in_use_in_another_loop_is_refused(self) -> None:
        found: list[BaseException] = []

        def elsewhere() -> None:
            async def use() -> None:
                async with MemoryBroker("memory://loops"):
                    pass

            try:
                asyncio.run(use())
            except ConfigurationError as error:
                found.append(error)

        async with MemoryBroker("memory://loops"):
            thread = threading.Thread(target=elsewhere)
            thread.start()
            await asyncio.to_thread(thread.join, 5)

        assert "another event loop" in str(found[0])

    def test_one_loop_after_another_finds_the_same_log(self) -> None:
        keep = MemoryBroker("memory://sequence")

        first = asyncio.run(publish_and_take("memory://sequence"))
        second = asyncio.run(publish_and_take("memory://sequence"))

        assert keep.url == "memory://sequence"
        assert len(first) >= 100
        assert len(second) >= 200  # nothing was settled the first time


class TestDeterminism:
    def test_the_same_calls_give_the_same_deliveries(self) -> None:
        runs = [asyncio.run(publish_and_take(f"memory://again-{n}")) for n in range(3)]

        assert runs[0] == runs[1] == runs[2]

    async def test_a_key_has_the_same_partition_in_every_process(self) -> None:
        async with MemoryBroker("memory://vectors?partitions=8") as broker:
            keys = (b"", b"a", b"order-1", b"order-2", bytes(range(256)))
            await broker.publish([Message(TOPIC, b"", key) for key in keys])
            async with broker.browse(TopicFilter(TOPIC)) as reading:
                found = {delivery.key: delivery.stream async for delivery in reading}

        # CRC-32 (ISO-HDLC, as in zlib) modulo 8, computed once and for all.
        expected = ["orders-0", "orders-3", "orders-7", "orders-5", "orders-3"]
        assert [found[key] for key in keys] == expected

    async def test_records_are_stamped_by_the_given_clock(self) -> None:
        clock = ManualClock()
        await clock.advance(60)
        async with MemoryBroker("memory://stamp", clock=clock) as broker:
            await broker.publish(keyed(1))
            async with broker.browse(TopicFilter(TOPIC)) as reading:
                (delivery,) = [d async for d in reading]

        assert delivery.timestamp == clock.now().timestamp()


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

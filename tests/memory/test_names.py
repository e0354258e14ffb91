# ruff: noqa: SIM117 -- one scope a line reads best here; listeners may ignore streams

import asyncio
import gc
import threading
from collections.abc import Collection

import pytest

from choreo.broker import TopicFilter, open_broker
from choreo.errors import BrokerError, ConfigurationError
from choreo.message import Delivery, Message
from choreo.testing.clock import ManualClock, rest
from choreo_memory import MemoryBroker, forget
from tests.memory.ear import ALL, TOPIC, Ear, keyed


async def _open(url: str) -> None:
    async with MemoryBroker(url):
        pass


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

    @pytest.mark.parametrize("url", ["", "localhost", "localhost:9092", "kafka:/localhost"])
    def test_an_address_without_a_scheme_is_told_what_to_write(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="has no scheme: write memory://, kafka://"):
            open_broker(url)

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
            for attempt in (_open("memory://loops"), opened.publish(keyed(1))):
                try:
                    asyncio.run(attempt)
                except (BrokerError, ConfigurationError) as error:
                    found.append(error)

        async with MemoryBroker("memory://loops") as opened:
            thread = threading.Thread(target=elsewhere)
            thread.start()
            await asyncio.to_thread(thread.join, 5)

        assert [type(error) for error in found] == [ConfigurationError, BrokerError]
        assert all("another event loop" in str(error) for error in found)

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

"""What a group is handed on a real broker, whatever the log looks like."""

# The client's stubs leave its futures and the names it re-exports open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportPrivateImportUsage=false

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from confluent_kafka import Consumer as Reader
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from choreo.broker import TopicFilter, TopicSpec
from choreo.errors import BrokerError, ConfigurationError
from choreo.message import Message
from choreo_kafka import KafkaBroker
from tests.kafka.ear import Ear, bodies, insist, receive, subscription, until
from tests.kafka.severed import sever
from tests.local.parts import KafkaPart

Name = Callable[[str], str]
OPTIONS = "&metadata_age=1&close_timeout=1"


def committed(kafka: KafkaPart, group: str, topic: str) -> int:
    """Ask another client what the group has committed."""
    reader = Reader({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    (found,) = reader.committed([TopicPartition(topic, 0)], timeout=10)
    reader.close()
    offset: int = found.offset
    return offset


async def test_markers_and_aborted_records_are_passed_without_a_trace(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K2, K28: final lag is 0 although the log ends in markers."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    producer = Producer({"bootstrap.servers": real_kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(10)
    for verdict in ("commit", "abort", "commit", "abort"):
        producer.begin_transaction()
        for n in range(3):
            producer.produce(topic, f"{verdict} {n}".encode())
        producer.flush(10)
        (producer.commit_transaction if verdict == "commit" else producer.abort_transaction)(10)

    async with KafkaBroker(real_kafka.hasty + OPTIONS) as broker:
        async with broker.subscribe(subscription(topic, topic), Ear()) as consumer:
            got = await receive(consumer, 6)
            await until(lambda: consumer.progress()[0].settled == 16)
        async with broker.browse(TopicFilter(topic)) as reading:
            browsed = [delivery.body async for delivery in reading]

    assert bodies(got) == [b"commit 0", b"commit 1", b"commit 2"] * 2
    assert browsed == bodies(got)
    assert await asyncio.to_thread(committed, real_kafka, topic, topic) == 16


async def test_lag_shows_zero_soon_after_the_last_event(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    async with (
        KafkaBroker(real_kafka.url) as broker,
        broker.subscribe(subscription(topic, topic), Ear()) as consumer,
    ):
        await insist(broker, [Message(topic, b"%d" % n, b"key") for n in range(10)])
        await receive(consumer, 10)

        async with asyncio.timeout(0.9):
            offset = -1
            while offset != 10:
                offset = await asyncio.to_thread(committed, real_kafka, topic, topic)


async def test_a_crash_replays_only_what_was_unfinished(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """R9: a stuck event pins the offset, and nothing after it comes twice."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    async with KafkaBroker(real_kafka.hasty + OPTIONS) as broker:
        await insist(broker, [Message(topic, b"%d" % n, b"key") for n in range(100)])
        async with (
            KafkaBroker(real_kafka.hasty + OPTIONS) as dying,
            dying.subscribe(subscription(topic, topic), Ear()) as consumer,
        ):
            got = await receive(consumer, 100, settle=False)
            consumer.settle([d for d in got if d.position not in {0, 50, 51}])
            await consumer.flush()
            await sever(dying)
        async with broker.subscribe(subscription(topic, topic), Ear()) as consumer:
            await insist(broker, [Message(topic, b"end", b"key")])
            again = await receive(consumer, 4)

    assert [d.position for d in again] == [0, 50, 51, 100]


async def test_a_group_that_fell_behind_its_log_is_told_what_is_gone(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K24: no silent reset to the end."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    ear = Ear()
    async with KafkaBroker(real_kafka.hasty + OPTIONS) as broker:
        await insist(broker, [Message(topic, b"%d" % n, b"key") for n in range(10)])
        async with broker.subscribe(subscription(topic, topic), Ear()) as consumer:
            await receive(consumer, 2)
        admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap})
        for done in admin.delete_records([TopicPartition(topic, 0, 6)]).values():
            await asyncio.to_thread(done.result, 10)
        async with broker.subscribe(subscription(topic, topic), ear) as consumer:
            got = await receive(consumer, 4)
            await consumer.flush()

    assert [d.position for d in got] == [6, 7, 8, 9]
    assert [notice.missing for notice in ear.of("gap")] == [4]
    assert await asyncio.to_thread(committed, real_kafka, topic, topic) == 10


async def test_a_log_that_began_anew_is_read_from_its_beginning(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K24, K34: an offset beyond the end of the log."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    ear = Ear()
    async with KafkaBroker(real_kafka.hasty + OPTIONS) as broker:
        await insist(broker, [Message(topic, b"%d" % n, b"key") for n in range(3)])
        admin = Reader({"bootstrap.servers": real_kafka.bootstrap, "group.id": topic})
        admin.commit(offsets=[TopicPartition(topic, 0, 700)], asynchronous=False)
        admin.close()
        async with broker.subscribe(subscription(topic, topic), ear) as consumer:
            got = await receive(consumer, 3)
            await consumer.flush()

    assert [d.position for d in got] == [0, 1, 2]
    assert len(ear.of("gap")) == 1
    assert await asyncio.to_thread(committed, real_kafka, topic, topic) == 3


async def test_a_first_start_at_the_end_is_written_down_at_once(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K24: a crash before the first event must not move it."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    async with KafkaBroker(real_kafka.hasty + OPTIONS) as broker:
        await insist(broker, [Message(topic, b"old", b"key")])
        async with (
            KafkaBroker(real_kafka.hasty + OPTIONS) as dying,
            dying.subscribe(subscription(topic, topic, start="latest"), Ear()),
        ):
            await sever(dying)
        await insist(broker, [Message(topic, b"new", b"key")])
        async with broker.subscribe(subscription(topic, topic, start="latest"), Ear()) as consumer:
            assert bodies(await receive(consumer, 1)) == [b"new"]


async def test_a_topic_that_grows_loses_nothing_and_is_told_of(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K24, K25."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    ear = Ear()
    async with (
        KafkaBroker(real_kafka.hasty + OPTIONS) as broker,
        broker.subscribe(subscription(topic, topic, start="latest"), ear) as consumer,
    ):
        await insist(broker, [Message(topic, b"before", b"key")])
        await receive(consumer, 1)
        admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap})
        for done in admin.create_partitions([NewPartitions(topic, 4)]).values():
            await asyncio.to_thread(done.result, 10)
        other = Producer({"bootstrap.servers": real_kafka.bootstrap})
        for partition in range(4):
            other.produce(topic, b"%d" % partition, partition=partition)
        await asyncio.to_thread(other.flush, 10)

        got = await receive(consumer, 4)

    assert sorted(bodies(got), key=repr) == [b"0", b"1", b"2", b"3"]
    assert len(ear.of("repartitioned")) == 1
    async with KafkaBroker(real_kafka.url) as broker:
        with pytest.raises(ConfigurationError, match="4 partitions, not 1"):
            await broker.prepare([TopicSpec(name=topic, partitions=1)])


async def test_a_misspelt_topic_is_refused_and_not_created(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K33."""
    topic = fresh_name("misspelt")
    async with KafkaBroker(real_kafka.url) as broker:
        with pytest.raises(ConfigurationError, match=topic):
            async with broker.subscribe(subscription("group", topic), Ear()):
                pass


async def test_work_that_outlasts_its_drain_is_fenced(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K5, K7: given up in time for the rebalance, and settling it later changes nothing."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=2)
    stuck = Ear(gate=asyncio.Event())
    wish = subscription(topic, topic, drain=timedelta(seconds=0.5))
    async with (
        KafkaBroker(real_kafka.hasty + OPTIONS) as one,
        KafkaBroker(real_kafka.hasty + OPTIONS) as two,
        one.subscribe(wish, stuck) as first,
    ):
        await insist(one, [Message(topic, b"%d" % n, b"%d" % n) for n in range(20)])
        old = await receive(first, 20, settle=False)
        async with two.subscribe(wish, Ear()) as second:
            first.settle(old)
            await first.flush()
            assert len(first.progress()) == len(second.progress()) == 1
            again = await receive(second, 1, settle=False)
    assert again[0].body in bodies(old)


async def test_while_all_is_held_back_a_rebalance_hands_nothing_over(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K6: the client forgets its pause flags at every rebalance; we have none."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=4)
    ear = Ear()
    wish = subscription(topic, topic, read_ahead=8)
    async with (
        KafkaBroker(real_kafka.hasty + OPTIONS) as broker,
        broker.subscribe(wish, ear) as consumer,
    ):
        await insist(broker, [Message(topic, b"%d" % n, b"%d" % n) for n in range(400)])
        held = await receive(consumer, 8, settle=False)
        async with broker.subscribe(wish, Ear()):
            await until(lambda: len(ear.of("assigned")) == 2)
            held_back = sum(stream.buffered for stream in consumer._streams)
            assert held_back <= 8
            assert {d.epoch for d in held}.isdisjoint({s.epoch for s in consumer._streams})


async def test_records_pass_through_as_they_are(real_kafka: KafkaPart, fresh_name: Name) -> None:
    """K29."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    odd = [
        Message(topic, None, b"tombstone"),
        Message(topic, b"", b""),
        Message(topic, None, None, (("none", None),)),
        Message(topic, b"x", b"\xff", (("a", b"1"), ("a", None), ("a", b"\xff\xfe"), ("", b""))),
    ]
    async with (
        KafkaBroker(real_kafka.url) as broker,
        broker.subscribe(subscription(topic, topic), Ear()) as consumer,
    ):
        await insist(broker, odd)
        got = await receive(consumer, 4)

    assert [(d.body, d.key, tuple(d.headers)) for d in got] == [
        (m.body, m.key, tuple(m.headers)) for m in odd
    ]


async def test_a_busy_partition_does_not_starve_the_others(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=4)
    async with KafkaBroker(real_kafka.url) as broker:
        keys = {n: b"key-%d" % n for n in range(40)}
        await insist(broker, [Message(topic, b"x" * 50, b"key-0") for _ in range(20_000)])
        await insist(broker, [Message(topic, b"few", key) for key in keys.values()])
        async with broker.subscribe(subscription(topic, topic), Ear()) as consumer:
            busy = {d.stream for d in await receive(consumer, 1) if d.body != b"few"}
            seen = 0
            while len(busy) < 4:
                got = await consumer.poll(100)
                consumer.settle(got)
                busy |= {d.stream for d in got}
                seen += len(got)
    assert seen < 5_000


async def test_no_poll_of_the_client_is_ever_cancelled(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K13: a canary; a count left behind would disable the client's own idle check."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    async with KafkaBroker(real_kafka.url) as broker:
        async with broker.subscribe(subscription(topic, topic), Ear()) as consumer:
            await insist(broker, [Message(topic, b"x", b"key")])
            await receive(consumer, 1)
            assert consumer._membership is not None
            raw = consumer._membership._raw
        state = raw._subscription  # type: ignore[attr-defined]
    assert state._fetch_count == 0


async def test_a_session_that_the_broker_does_not_allow_is_told(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    """K18: no other attempt will be answered differently."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=1)
    async with KafkaBroker(f"{real_kafka.url}?session_timeout=36000&stall_timeout=1") as broker:
        with pytest.raises(BrokerError, match="session timeout"):
            async with broker.subscribe(subscription(topic, topic), Ear()):
                pass

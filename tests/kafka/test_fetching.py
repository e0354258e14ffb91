"""How long the broker keeps fetches waiting: as long as nothing else is held up by them."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from aiokafka.structs import ConsumerRecord, TopicPartition

from choreo.message import Message
from choreo_kafka import KafkaBroker
from choreo_kafka.client import Record
from choreo_kafka.fetching import patience_ms
from choreo_kafka.offsets import Place
from choreo_kafka.streams import Streams
from tests.kafka.ear import Ear, insist, subscription, until
from tests.local.parts import KafkaPart

Name = Callable[[str], str]


@pytest.mark.parametrize(
    ("created", "expected"),
    [((), 500), ((92.0, 99.0), 125), ((100.0,), 1), ((1.0,), 500)],
)
def test_a_fetch_waits_an_eighth_of_what_the_youngest_held_has_lasted(
    created: tuple[float, ...], expected: int
) -> None:
    assert patience_ms(500, created, 100.0) == expected


async def test_an_idle_topic_does_not_keep_the_fetches_of_a_busy_one_waiting(
    real_kafka: KafkaPart, fresh_name: Name
) -> None:
    busy = real_kafka.create_topic(fresh_name("busy"), partitions=1)
    idle = real_kafka.create_topic(fresh_name("idle"), partitions=1)
    async with KafkaBroker(real_kafka.url) as broker:
        await insist(broker, [Message(busy, b"x", b"key") for _ in range(5_000)])
        async with broker.subscribe(subscription(busy, busy, idle), Ear()) as consumer:
            assert consumer._membership is not None
            raw: Any = consumer._membership._raw
            waits = _waits_beside_what_is_held(raw._fetcher)

            await until(lambda: waits)

    assert waits[0] < 500


def test_a_partition_is_held_back_from_having_enough_until_some_of_it_is_taken() -> None:
    streams = Streams(subscription("group", "topic", read_ahead=8))
    streams.open([_place(0), _place(1)])
    busy, _ = streams

    told = [streams.held_back]
    streams.admit(busy, _records(4))
    told.append(streams.held_back)
    streams.take(1)
    told.append(streams.held_back)

    assert told == [False, True, False]


def test_a_partition_that_rests_on_an_unfinished_event_is_not_held_back() -> None:
    """Room is not what it waits for: it goes on once that event has ended."""
    streams = Streams(subscription("group", "topic", read_ahead=8, max_span=1))
    streams.open([_place(0), _place(1)])
    busy, _ = streams

    streams.admit(busy, _records(5))
    streams.take(8)

    assert busy.rests
    assert busy.buffered == 4
    assert not streams.held_back


def _place(partition: int) -> Place:
    return Place(
        partition=TopicPartition("topic", partition), partitions=2, offset=0, committed=(0, ";p2")
    )


def _records(count: int) -> list[Record]:
    return [
        cast("Record", ConsumerRecord("topic", 0, offset, 0, 0, b"key", b"x", None, 3, 1, ()))
        for offset in range(count)
    ]


def _waits_beside_what_is_held(fetcher: Any) -> list[int]:  # noqa: ANN401 -- private to aiokafka
    """Keep how long fetches may wait, in milliseconds, that leave out what the client holds."""
    send, waits = fetcher._proc_fetch_request, list[int]()

    def sending(assignment: object, *places: Any) -> asyncio.Future[bool]:  # noqa: ANN401 -- as above
        if fetcher._records:
            waits.append(places[1]._max_wait_ms)
        found: asyncio.Future[bool] = send(assignment, *places)
        return found

    fetcher._proc_fetch_request = sending
    return waits

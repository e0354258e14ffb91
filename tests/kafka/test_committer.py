"""When commits follow each other, against a broker that answers each after a set time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median
from typing import cast

from aiokafka.errors import UnknownError
from aiokafka.structs import TopicPartition

from choreo.message import Delivery
from choreo_kafka.client import RawConsumer
from choreo_kafka.committer import (
    FAILING_SECONDS,
    FIRST_RETRY,
    MAX_FAILURES,
    MAX_RETRY,
    PREPARING_SHARE,
    Committer,
)
from choreo_kafka.offsets import Place
from choreo_kafka.settings import KafkaSettings
from choreo_kafka.stream import Stream
from choreo_kafka.streams import Streams
from tests.kafka.ear import Ear, subscription, until
from tests.patience import patient

PLACE = TopicPartition("topic", 0)
MANY = 100_000
TRIP = 0.005
"""Seconds until a commit is answered."""
INTERVAL = KafkaSettings.parse("kafka://localhost").commit_interval.total_seconds()


class Answers:
    """Takes commits one at a time, and keeps what it took and when."""

    def __init__(self, failures: int = 0, trip: float = TRIP) -> None:
        self.offsets: list[int] = []
        self.begun: list[float] = []
        self.answered: list[float] = []
        self.failed = 0
        self._failures = failures
        self._trip = trip
        self._busy = False

    def relent(self) -> None:
        """Refuse nothing any more."""
        self._failures = 0

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset({PLACE})

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        assert not self._busy, "two commits at once"
        self._busy = True
        self.begun.append(now())
        await asyncio.sleep(self._trip)
        self._busy = False
        if self._failures:
            self._failures -= 1
            self.failed += 1
            raise UnknownError
        self.offsets.append(offsets[PLACE][0])
        self.answered.append(now())


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def committing(answers: Answers) -> AsyncGenerator[tuple[Streams, Committer]]:
    """Run a committer of one stream that begins at 0."""
    streams = Streams(subscription("group", "topic"))
    streams.open([Place(partition=PLACE, partitions=1, offset=0, committed=(0, ";p1"))])
    committer = Committer(cast("RawConsumer", answers), streams, Ear().notice, INTERVAL)
    task = asyncio.create_task(committer.run())
    try:
        yield streams, committer
    finally:
        task.cancel()
        await asyncio.wait({task})
        await committer.close()


def end(streams: Streams, position: int) -> None:
    """Hand over and settle one position."""
    (stream,) = streams
    stream.watermark.take(position)
    streams.settle([delivery(stream, position)])


def delivery(stream: Stream, position: int) -> Delivery:
    return Delivery("topic", b"", stream=stream.name, position=position, epoch=0)


def gaps(answers: Answers) -> list[float]:
    """Give the seconds from each commit's beginning to the next one's."""
    return [later - earlier for earlier, later in pairwise(answers.begun)]


async def test_what_has_ended_is_committed_within_a_few_round_trips_under_load() -> None:
    """R9: a crash repeats what ended since the last commit."""
    answers, ended = Answers(), list[float]()
    async with committing(answers) as (streams, _):
        for position in range(400):
            end(streams, position)
            ended.append(now())
            await asyncio.sleep(0.001)
        await until(lambda: answers.offsets[-1:] == [400])

    taken = zip(answers.offsets, answers.answered, strict=True)
    times = [(offset, at) for offset, at in taken]
    waits = [next(at for offset, at in times if offset > n) - at for n, at in enumerate(ended)]
    assert median(waits) < 2 * (INTERVAL + TRIP)
    assert answers.offsets == sorted(answers.offsets)


async def test_what_ends_after_a_pause_is_committed_at_once() -> None:
    answers = Answers()
    async with committing(answers) as (streams, _):
        await asyncio.sleep(2 * INTERVAL)
        begun = now()
        end(streams, 0)
        await until(lambda: bool(answers.offsets))

    assert answers.begun[0] - begun < INTERVAL


async def test_commits_begin_no_closer_together_than_the_interval() -> None:
    answers = Answers()
    async with committing(answers) as (streams, _):
        for position in range(100):
            end(streams, position)
            await asyncio.sleep(0.001)

    assert mean(gaps(answers)) > 0.95 * INTERVAL  # a busy machine may begin one late


async def test_commits_keep_their_distance_when_much_is_finished_above_the_watermark() -> None:
    """R9: writing the finished set down grows with it, and must not eat up the time for work."""
    answers = Answers()
    async with committing(answers) as (streams, _):
        (stream,) = streams
        stream.watermark.take_to(MANY)
        for position in range(1, MANY, 2):
            stream.watermark.finish(position)
        begun = time.process_time()
        stream.due(plain=False)
        preparing = time.process_time() - begun
        for position in range(MANY, MANY + 300):
            end(streams, position)
            stream.watermark.finish(position - MANY)
            await asyncio.sleep(0.002)

    assert preparing > 2 * INTERVAL * PREPARING_SHARE
    assert mean(gaps(answers)) > 1.5 * INTERVAL


@dataclass
class Read:
    """A record as the client hands it over."""

    offset: int
    timestamp: int = -1
    key: bytes | None = None
    value: bytes | None = b""
    headers: Sequence[tuple[str, bytes | None]] = ()


async def test_a_stream_that_rested_for_its_crowded_metadata_goes_on_unaided() -> None:
    """R9: what was read ahead meanwhile is handed over, although nothing else comes."""
    async with committing(Answers()) as (streams, _):
        (stream,) = streams
        stream.watermark.take_to(5_000)
        done = [delivery(stream, position) for position in range(5_000)]
        streams.settle(done[1::2])
        await until(lambda: stream.crowded)
        streams.admit(stream, [Read(5_000 + n) for n in range(10)])
        assert streams.take(10) == []
        streams.ready.clear()

        streams.settle(done[::2])
        async with asyncio.timeout(patient(5)):
            await streams.ready.wait()

        assert len(streams.take(10)) == 10


async def test_a_commit_that_was_refused_is_tried_again_soon() -> None:
    """K5: a kill repeats what ended meanwhile, and a rebalance is mostly over soon."""
    answers = Answers(failures=1)
    async with committing(answers) as (streams, _):
        end(streams, 0)
        await until(lambda: answers.offsets == [1])

    (gap,) = gaps(answers)
    assert FIRST_RETRY <= gap < MAX_RETRY


async def test_what_a_rebalance_refused_is_committed_when_that_is_over() -> None:
    """K5: not only when the pause is over that grew meanwhile."""
    answers = Answers(failures=MAX_FAILURES)
    async with committing(answers) as (streams, committer):
        end(streams, 0)
        await until(lambda: answers.failed == MAX_FAILURES)
        committer.assigned()
        await until(lambda: answers.offsets == [1])

    assert gaps(answers)[-1] < MAX_RETRY


async def test_a_broker_that_goes_on_refusing_is_not_pressed() -> None:
    """K21: a client object is given up only after a while of failures, however close they are."""
    answers = Answers(failures=10**6)
    async with committing(answers) as (streams, committer):
        end(streams, 0)
        await until(lambda: committer.broken)
        failing = now() - answers.begun[0]
        answers.relent()
        await until(lambda: answers.offsets == [1])

        assert not committer.broken
    assert failing >= FAILING_SECONDS
    assert len(answers.begun) > MAX_FAILURES
    for tries, gap in enumerate(gaps(answers)):
        assert gap >= min(FIRST_RETRY * 2**tries, MAX_RETRY)


async def test_a_few_failures_are_nothing_even_if_they_take_long() -> None:
    """K21: what a slow broker refuses now and then is tried again by the same client object."""
    answers = Answers(failures=MAX_FAILURES - 1, trip=1.1 * FAILING_SECONDS / (MAX_FAILURES - 1))
    async with committing(answers) as (streams, committer):
        end(streams, 0)
        await until(lambda: answers.offsets == [1] or committer.broken)

        assert not committer.broken
    assert answers.offsets == [1]

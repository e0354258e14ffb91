"""The promises on real Kafka, with processes that are killed."""

# The client's methods are partly untyped:
# pyright: reportUnknownMemberType=false

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from statistics import mean, median

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from choreo import Service
from choreo.runner import started
from choreo_kafka.settings import KafkaSettings
from tests.local import KafkaPart
from tests.promises.ledger import Ledger, Line
from tests.promises.program import step_on
from tests.promises.workers import Workers

pytestmark = pytest.mark.alone

TRACKS = 200
EACH = 100
INTERVAL = KafkaSettings.parse("kafka://any").commit_interval.total_seconds()
CONCURRENCY = 40
"""Handlers that the program runs at once, and so what a woken process may begin too late."""
FENCED = 5.0
"""Seconds to look at such a process after it was woken."""


async def published(url: str, topic: str, tracks: int, each: int) -> dict[str, int]:
    """Publish numbered steps, tracks interleaved; return how many each track has."""
    step = step_on(topic)
    producer = Service("producer", broker=url)
    names = [f"track-{number}" for number in range(tracks)]
    async with started(producer):
        for number in range(0, each, 10):
            await producer.publish_many(
                [
                    step.model_validate({"track": name, "number": n})
                    for n in range(number, min(each, number + 10))
                    for name in names
                ]
            )
    return dict.fromkeys(names, each)


@pytest.mark.timeout(240)
async def test_kills_and_rebalances_lose_nothing_keep_order_and_repeat_only_the_unfinished(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str], tmp_path: Path
) -> None:
    """K1, K5, K6: 20,000 events, five kills with -9, a second member that joins and leaves."""
    topic = real_kafka.create_topic(fresh_name("promises"), partitions=8)
    url = real_kafka.hasty
    expected = await published(url, topic, TRACKS, EACH)
    ledger = Ledger(tmp_path / "ledger")

    with Workers(url, ledger.file, fresh_name("walker"), topic, 12) as workers:
        try:
            async with committing(real_kafka, topic) as trips:
                last = await _killed_five_times(workers, ledger)
            await ledger.until(lambda seen: not seen.missing(expected), 90)
            assert workers.stop(last) == 0
        except TimeoutError as error:
            pytest.fail(f"{error}\n{workers.log()}")
        killed = workers.deaths

    assert ledger.missing(expected) == []
    assert ledger.inversions() == []
    assert ledger.overlaps(set(killed)) == []
    first_ends = [line for ends in ledger.repeated().values() for line in ends[:-1]]
    assert [line for line in first_ends if line.process not in killed] == []
    ages = ledger.uncommitted(killed)
    trip = median(trips)
    oldest = [max(each, default=0.0) for each in ages.values()]
    print(  # noqa: T201
        f"\nrepeated of {TRACKS * EACH} steps: {sum(map(len, ages.values()))}; a commit takes "
        f"{trip * 1e3:.1f} ms; at each kill "
        + ", ".join(f"{len(s)} from {max(s, default=0) * 1e3:.1f} ms" for s in ages.values())
    )
    assert mean(oldest) < 1.5 * (INTERVAL + trip)  # every quarter second, it would be 0.12 s
    assert max(oldest) < 3 * INTERVAL + 10 * trip


@asynccontextmanager
async def committing(kafka: KafkaPart, topic: str) -> AsyncGenerator[list[float]]:
    """Commit beside the others, and give the seconds that each round trip took."""
    trips: list[float] = []
    place = TopicPartition(topic, 0)
    client = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, group_id=f"beside-{topic}", enable_auto_commit=False
    )

    async def commit() -> None:
        for offset in count():
            begun = time.perf_counter()
            await client.commit({place: offset})
            trips.append(time.perf_counter() - begun)
            await asyncio.sleep(0.1)

    await client.start()
    client.assign([place])
    task = asyncio.create_task(commit())
    try:
        yield trips
    finally:
        task.cancel()
        await asyncio.wait({task})
        await client.stop()


async def _killed_five_times(workers: Workers, ledger: Ledger) -> "subprocess.Popen[bytes]":
    """Kill and restart one member, while a second joins and leaves; return the last one."""
    first, second = workers.start(), None
    for kill in range(5):
        goal = 3_000 * (kill + 1)
        await ledger.until(lambda seen, goal=goal: seen.ended() >= goal, 60)  # type: ignore[misc]
        workers.kill(first)
        first = workers.start()
        if kill in (0, 2):
            second = workers.start()
        elif second is not None:
            assert workers.stop(second) == 0
            second = None
    return first


@pytest.mark.timeout(120)
async def test_a_stop_under_load_repeats_nothing(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str], tmp_path: Path
) -> None:
    """A9: SIGTERM in the middle, twice; every step ends exactly once."""
    topic = real_kafka.create_topic(fresh_name("promises"), partitions=8)
    expected = await published(real_kafka.url, topic, 50, 100)
    ledger = Ledger(tmp_path / "ledger")

    with Workers(real_kafka.url, ledger.file, fresh_name("walker"), topic, 20) as workers:
        try:
            for goal in (1_000, 2_500):
                process = workers.start()
                await ledger.until(lambda seen, goal=goal: seen.ended() >= goal, 40)  # type: ignore[misc]
                assert workers.stop(process) == 0
            process = workers.start()
            await ledger.until(lambda seen: not seen.missing(expected), 40)
            assert workers.stop(process) == 0
        except TimeoutError as error:
            pytest.fail(f"{error}\n{workers.log()}")

    assert ledger.repeated() == {}
    assert ledger.inversions() == []


@pytest.mark.timeout(120)
async def test_a_frozen_process_is_fenced_and_its_work_is_done_by_another_k10(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str], tmp_path: Path
) -> None:
    """F3: SIGSTOP for twice the session, SIGCONT; nothing lost, order kept but for the zombie."""
    topic = real_kafka.create_topic(fresh_name("promises"), partitions=8)
    url = real_kafka.hasty
    ledger = Ledger(tmp_path / "ledger")

    with Workers(url, ledger.file, fresh_name("walker"), topic, 60) as workers:
        first, second = workers.start(), workers.start()
        try:
            await ledger.until(lambda seen: seen.ready(first.pid) and seen.ready(second.pid), 40)
            expected = await published(url, topic, 100, 100)
            await ledger.until(
                lambda seen: min(seen.ended_by(first.pid), seen.ended_by(second.pid)) >= 200, 40
            )
            first.send_signal(signal.SIGSTOP)
            frozen_at = time.time()
            await ledger.until(lambda seen: not seen.missing(expected), 60)
            await ledger.until(lambda _: time.time() > frozen_at + 2 * real_kafka.session, 20)
            thawed_at = time.time()
            first.send_signal(signal.SIGCONT)
            await ledger.until(lambda seen: any(_after(seen, first.pid, thawed_at)), 20)
            await ledger.until(lambda _: time.time() > thawed_at + FENCED, 10)
            assert workers.stop(first) == 0
            assert workers.stop(second) == 0
        except TimeoutError as error:
            pytest.fail(f"{error}\n{workers.log()}")

    assert ledger.missing(expected) == []
    assert ledger.inversions() == []
    by_other = [line for line in ledger.lines() if line.process == second.pid]
    assert any(
        line.mark == "E" and line.time > frozen_at + real_kafka.session - 1 for line in by_other
    )
    woken = [line for line in _after(ledger, first.pid, thawed_at) if line.mark == "B"]
    print(f"\n{len(woken)} steps begun by the process that had been frozen")  # noqa: T201
    assert len(woken) <= 2 * CONCURRENCY


def _after(ledger: Ledger, process: int, moment: float) -> list[Line]:
    return [line for line in ledger.lines() if line.process == process and line.time > moment]

"""The promises on real Mosquitto, with processes that are killed and connections that are cut."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from choreo import Service
from choreo.runner import started
from choreo.testing.faults.proxy import Proxy
from tests.local import MqttPart
from tests.promises.ledger import Ledger
from tests.promises.program import step_on
from tests.promises.workers import Workers

pytestmark = pytest.mark.alone

TRACKS = 200
EACH = 100
WINDOW = 1_000
"""Receive Maximum of the program: what may be unacknowledged, and so repeated after a kill."""


async def publish(url: str, topic: str) -> dict[str, int]:
    """Publish numbered steps, tracks interleaved; return how many each track has."""
    step = step_on(topic)
    producer = Service("producer", broker=url)
    names = [f"track-{number}" for number in range(TRACKS)]
    async with started(producer):
        for n in range(EACH):
            await producer.publish_many(
                [step.model_validate({"track": name, "number": n}) for name in names]
            )
    return dict.fromkeys(names, EACH)


@pytest.mark.timeout(240)
async def test_kills_and_cuts_lose_nothing_keep_order_and_repeat_only_the_unacknowledged(
    mosquitto: MqttPart, fresh_name: Callable[[str], str], tmp_path: Path
) -> None:
    """M1, M3, M4, M8: 20,000 events, five kills with -9, five cuts while handlers run."""
    topic, name = fresh_name("promises"), fresh_name("walker")
    ledger = Ledger(tmp_path / "ledger")

    async with Proxy.running("127.0.0.1", mosquitto.port) as proxy:
        url = f"mqtt://127.0.0.1:{proxy.port}?receive_maximum={WINDOW}"
        with Workers(url, ledger.file, name, topic, 12) as workers:
            process = workers.start()
            try:
                await ledger.until(lambda seen: seen.ready(process.pid), 30)
                publishing = asyncio.create_task(publish(mosquitto.url, topic))
                for kill in range(5):
                    goal = 3_000 * kill + 1_500
                    await ledger.until(lambda seen, goal=goal: seen.ended() >= goal, 60)  # type: ignore[misc]
                    proxy.cut()
                    goal += 1_500
                    await ledger.until(lambda seen, goal=goal: seen.ended() >= goal, 60)  # type: ignore[misc]
                    workers.kill(process)
                    process = workers.start()
                expected = await publishing
                await ledger.until(lambda seen: not seen.missing(expected), 90)
                assert workers.stop(process) == 0
            except TimeoutError as error:
                pytest.fail(f"{error}\n{workers.log()}")
            killed = workers.deaths
        assert proxy.cuts >= 5

    assert ledger.missing(expected) == []
    assert ledger.inversions() == []
    assert ledger.overlaps(set(killed)) == []
    repeated = ledger.repeated()
    first_ends = [line for ends in repeated.values() for line in ends[:-1]]
    assert [line for line in first_ends if line.process not in killed] == []
    print(f"\n5 kills, {proxy.cuts} cuts, {len(repeated)} of {TRACKS * EACH} steps repeated")  # noqa: T201
    assert len(first_ends) <= 5 * 3 * WINDOW


@pytest.mark.timeout(120)
async def test_a_stop_under_load_repeats_nothing(
    mosquitto: MqttPart, fresh_name: Callable[[str], str], tmp_path: Path
) -> None:
    """A9: SIGTERM in the middle, twice; every step ends exactly once."""
    topic, name = fresh_name("promises"), fresh_name("walker")
    ledger = Ledger(tmp_path / "ledger")

    with Workers(mosquitto.url, ledger.file, name, topic, 12) as workers:
        process = workers.start()
        try:
            await ledger.until(lambda seen: seen.ready(process.pid), 30)
            publishing = asyncio.create_task(publish(mosquitto.url, topic))
            for goal in (3_000, 8_000):
                await ledger.until(lambda seen, goal=goal: seen.ended() >= goal, 40)  # type: ignore[misc]
                assert workers.stop(process) == 0
                process = workers.start()
            expected = await publishing
            await ledger.until(lambda seen: not seen.missing(expected), 60)
            assert workers.stop(process) == 0
        except TimeoutError as error:
            pytest.fail(f"{error}\n{workers.log()}")

    assert ledger.repeated() == {}
    assert ledger.inversions() == []

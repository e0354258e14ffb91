"""Timers under processes that are killed while they fire them."""

import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path
from random import Random

import pytest

from choreo.store.opening import open_store
from tests.local.process import Process
from tests.outbox.emitting import Place, emission
from tests.patience import patient

LEASE = "1"
TIMERS = 400
LANES = 20
SPAN = 5.0
"""Seconds over which the timers are due."""
KILLS = 3
GRAIN = 0.005
"""Seconds that a database's clock may be coarse."""
LATEST = 30.0
"""Seconds after which all must be out, however slow the machine."""


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_with_relays_killed_no_timer_is_lost_or_early_and_each_key_is_in_order(
    url: str, tmp_path: Path
) -> None:
    """S2, S4: killed before, while and after timers are fired; what is repeated bears its id."""
    record = tmp_path / "record"
    record.touch()
    random = Random(11)
    began = time.time()
    due: dict[str, float] = {}
    latest: dict[str, float] = {}
    async with open_store(url) as store:
        place = Place(await store.ledger("shop", ["charge"]))
        for number in range(TIMERS):
            delay = random.uniform(0.5, SPAN)
            name, lane = f"t{number:03}", f"lane/{number % LANES}"
            before = time.time()
            await place.emit(replace(emission(name, lane), delay=timedelta(seconds=delay)))
            # Between the two, when exactly the database alone knows.
            due[name], latest[name] = before + delay, time.time() + delay + GRAIN

    with ExitStack() as running:
        _kill_and_watch(url, record, due, running)

    first = list(dict.fromkeys(_published(record)))
    assert set(first) == set(due)
    for key in range(LANES):
        mine = [name for name in first if int(name[1:]) % LANES == key]
        assert all(due[one] <= latest[other] for one, other in pairwise(mine))
    print(f"{len(_published(record)) - TIMERS} repeated in {time.time() - began:.1f} s")  # noqa: T201 -- shown with -s


def _kill_and_watch(url: str, record: Path, due: dict[str, float], running: ExitStack) -> None:
    """Run one relay after the other, killing the first ones, and see that nothing is early."""
    numbers, over = count(), time.time() + patient(LATEST)
    relay = _relay(url, record, next(numbers), running)
    kills, kill_at = 0, len(due) // (KILLS + 1)
    seen = 0
    while seen < len(due):
        assert time.time() < over, (
            f"{seen} of {len(due)} after {patient(LATEST)} s; {relay.log.read_text()}"
        )
        names = set(_published(record))
        now = time.time()
        assert not [name for name in names if due[name] > now]
        seen = len(names)
        if kills < KILLS and seen >= kill_at * (kills + 1):
            relay.kill()
            relay = _relay(url, record, next(numbers), running)
            kills += 1
        time.sleep(0.002)
    assert kills == KILLS


def _relay(url: str, record: Path, number: int, running: ExitStack) -> Process:
    name = f"relay{number}"
    command = [sys.executable, "-m", "tests.outbox.relaying", url, str(record), name, LEASE]
    process = Process(command, log=record.with_name(f"{name}.log"))
    process.start()
    running.callback(process.terminate)
    return process


def _published(record: Path) -> list[str]:
    text = record.read_text()
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [line.split(" ")[1] for line in lines]

"""Whatever bytes come: no crash, no hang, no memory without bound (F19)."""

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

CORPUS = Path(__file__).parent / "corpus"
EXAMPLES = 300
MUTANTS = 300
LONGEST = 0.1
"""Seconds of the processor that one input may take."""
MOST = 32 * 1024 * 1024
"""Bytes that may be held while one input is read; the longest is 64 KiB."""

parametrized = pytest.mark.parametrize(("name", "target"), list(TARGETS.items()), ids=list(TARGETS))


def taken(target: Target, data: bytes) -> float:
    """Give the seconds of the processor that *data* takes; the least of three, once it is slow."""
    times: list[float] = []
    for _ in range(3):
        begun = time.process_time()
        target(data)
        times.append(time.process_time() - begun)
        if times[-1] < LONGEST:
            break
    return min(times)


def kept(name: str) -> Iterator[bytes]:
    """Go through the inputs that are kept for a target."""
    for file in sorted((CORPUS / name).iterdir()):
        yield file.read_bytes()


def mutated(seeds: list[bytes], count: int) -> Iterator[bytes]:
    """Damage inputs that are nearly right, which reach further than chance does."""
    dice = Random(19)
    for _ in range(count):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 6)):
            place = dice.randrange(len(data) + 1)
            match dice.randrange(4):
                case 0:
                    data[place:place] = dice.randbytes(dice.randint(1, 8))
                case 1:
                    del data[place : place + dice.randint(1, 8)]
                case 2:
                    data[place : place + 1] = dice.randbytes(1)
                case _:
                    data[place:place] = data[: dice.randint(0, 64)] * dice.choice((1, 2, 100))
        yield bytes(data[: 64 * 1024])


@parametrized
@pytest.mark.timeout(60)
def test_what_is_kept_is_read_or_refused_in_time(name: str, target: Target) -> None:
    slow = [data[:60] for data in kept(name) if taken(target, data) >= LONGEST]

    assert slow == []


@parametrized
@pytest.mark.timeout(120)
def test_damaged_inputs_are_read_or_refused_in_time(name: str, target: Target) -> None:
    seeds = list(kept(name))

    slow = [data[:60] for data in mutated(seeds, MUTANTS) if taken(target, data) >= LONGEST]

    assert slow == []


@parametrized
@pytest.mark.timeout(120)
def test_any_bytes_are_read_or_refused_in_time(name: str, target: Target) -> None:
    del name

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.binary(max_size=4_096))
    def read(data: bytes) -> None:
        assert taken(target, data) < LONGEST

    read()


@parametrized
@pytest.mark.timeout(120)
def test_no_input_takes_memory_that_is_not_its_own(name: str, target: Target) -> None:
    seeds = list(kept(name))
    inputs = [*seeds, *mutated(seeds, 50)]
    target(inputs[0])
    peaks: list[int] = []
    tracemalloc.start()
    try:
        for data in inputs:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            target(data)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()

    assert max(peaks) < MOST

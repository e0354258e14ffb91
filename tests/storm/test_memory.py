"""A process that has no more memory than it needs: F21."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, resource
from pathlib import Path

from choreo import Event, Retry, Service
from choreo.testing import Harness, ManualClock


class Asked(Event, topic="asked", key="number"):
    number: int


service = Service("greedy", retry=Retry(attempts=2))
kept = []


@service.on(Asked)
async def answer(asked: Asked) -> None:
    kept.append(bytearray((1 << 30) if asked.number == 3 else 1 << 10))


async def main() -> None:
    async with Harness(service, clock=ManualClock()) as world:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 27),) * 2)
        for number in range(10):
            await world.publish(Asked(number=number))
        await world.settle()
        letters = [(letter.reason.value, letter.error_type) for letter in world.dead_letters]
        print(len(kept), letters)


asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="its limit is Linux's")
@pytest.mark.timeout(60)
def test_an_event_that_takes_too_much_memory_is_buried_and_its_neighbours_are_handled_f21() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )

    assert ran.stdout == "9 [('retries_exhausted', 'builtins.MemoryError')]\n", ran.stderr

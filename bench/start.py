"""How long it takes from nothing to a first event handled, and to a word of help."""

import subprocess
import sys
from resource import RUSAGE_CHILDREN, getrusage

from bench.measure import Result, compared

HELP_SECONDS = 0.3
"""What a person takes for at once."""
FIRST = """
import asyncio
from choreo import Event, Service
from choreo.runner import started

class Placed(Event, topic="orders", key="order"):
    order: str

async def main():
    shop, handled = Service("shop", broker="memory://"), asyncio.Event()

    @shop.on(Placed)
    async def handle(_: Placed) -> None:
        handled.set()

    async with started(shop):
        await shop.publish(Placed(order="a"))
        await handled.wait()

asyncio.run(main())
"""


async def start_help(runs: int) -> Result:
    """Measure ``start_help``: 0.3 s ÷ what ``choreo --help`` takes."""
    return _timed("start_help", ["-m", "choreo.cli", "--help"], HELP_SECONDS, runs)


async def start_first_event(runs: int) -> Result:
    """Measure ``start_first_event``: the bare interpreter's start ÷ that to a first event."""
    bare = [_seconds(["-c", "pass"]) for _ in range(runs)]
    return _timed("start_first_event", ["-c", FIRST], sorted(bare)[runs // 2], runs)


def _timed(name: str, command: list[str], beside: float, runs: int) -> Result:
    _seconds(command)  # its files are in the cache of the system from now on
    pairs = [(_seconds(command) * 1e3, beside * 1e3) for _ in range(runs)]
    return compared(name, pairs, unit="ms CPU", better="less")


def _seconds(command: list[str]) -> float:
    """Tell the processor time of one program: what a core to itself would take."""
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True, timeout=60)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

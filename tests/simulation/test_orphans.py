"""The processes that share seeds end with the one that they work for, however that ends."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.patience import patient

ROOT = Path(__file__).parents[2]
PROGRAM = """
from choreo.testing.simulation import simulate
from tests.simulation import till
simulate(till.services, till.few, seeds=range(1_000_000), jobs=2)
"""


def parents() -> dict[int, int]:
    """Tell the parent of every process that is not over yet (proc(5), field 4 of ``stat``)."""
    found: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found[int(file.parent.name)] = int(fields[1])
    return found


def workers(parent: int) -> Sequence[int]:
    """List the children of *parent*: two that work, and one that looks after what they share."""
    return [child for child, its_parent in parents().items() if its_parent == parent]


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are told from /proc")
async def test_a_simulation_that_is_killed_leaves_no_process_at_work() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, cwd=ROOT)
    async with asyncio.timeout(patient(20)):
        while len(children := workers(process.pid)) < 3:
            await asyncio.sleep(0.05)

    process.send_signal(signal.SIGKILL)
    await process.wait()

    async with asyncio.timeout(patient(10)):
        while set(children) & set(parents()):
            await asyncio.sleep(0.05)

"""The processes that share seeds end with the one that they work for, however that ends."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.local.family import children, parents
from tests.patience import patient

ROOT = Path(__file__).parents[2]
PROGRAM = """
from choreo.testing.simulation import simulate
from tests.simulation import till
simulate(till.services, till.few, seeds=range(1_000_000), jobs=2)
"""


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are told from /proc")
async def test_a_simulation_that_is_killed_leaves_no_process_at_work() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, cwd=ROOT)
    async with asyncio.timeout(patient(20)):
        while len(workers := children(process.pid)) < 3:  # one looks after what two share
            await asyncio.sleep(0.05)

    process.send_signal(signal.SIGKILL)
    await process.wait()

    async with asyncio.timeout(patient(10)):
        while workers & parents().keys():
            await asyncio.sleep(0.05)

"""The desk of dead letters as an operator works at it: by commands, which may be killed."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.crash.conftest import Ground
from tests.crash.world import World
from tests.patience import patient

SCRIPT = Path(sys.executable).with_name("choreo")
LOOK = 0.05


class Worked(NamedTuple):
    """How one command ended, and what it said."""

    status: int
    """Negative for a signal."""
    told: Sequence[dict[str, Any]]
    """One object a line."""
    complaint: str

    @property
    def last(self) -> dict[str, Any]:
        """Give what it said at its end."""
        assert self.status == 0, self.complaint
        return self.told[-1]


async def work(world: World, command: str, *arguments: str, failpoint: str = "") -> Worked:
    """Run ``choreo dlq COMMAND`` for the first service, to die at *failpoint*."""
    where = ("--service", f"{world.plan.run}-payments", "--broker", world.plan.broker, "--json")
    desk = await asyncio.create_subprocess_exec(
        *(str(SCRIPT), "dlq", command, *arguments, *where),
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "CHOREO_FAILPOINT": failpoint},
    )
    try:
        async with asyncio.timeout(patient(60)):
            written, complaint = await desk.communicate()
    except TimeoutError:
        desk.kill()
        raise
    assert desk.returncode is not None
    told = [json.loads(line) for line in written.splitlines()]
    return Worked(desk.returncode, told, complaint.decode())


async def refused(world: World, ground: Ground, count: int, others: int = 0) -> None:
    """Have *count* orders in the dead letters, *others* handled, and nobody at work."""
    child = await world.start("payments")
    await child.until_ready(40)
    await world.publish(ground.producer)
    await world.until_effects("payments", others, 40)
    async with asyncio.timeout(patient(40)):
        while len(await world.letters()) < count:
            await asyncio.sleep(LOOK)
    assert await child.stop() == 0

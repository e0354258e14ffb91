"""A dead letter is replayed, and the service is killed between taking the replay and its end."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.crash.conftest import Ground
from tests.crash.world import UNTROUBLED, World
from tests.patience import patient

SCRIPT = Path(sys.executable).with_name("choreo")
LOOK = 0.05
REFUSED: dict[str, Any] = {**UNTROUBLED, "refused": "a/1"}

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.mark.parametrize("pair", ["kafka-postgresql", "kafka-sqlite", "mqtt-sqlite"], indirect=True)
@pytest.mark.parametrize("point", ["recorded", "committed"])
async def test_a_replay_is_one_effect_although_the_service_is_killed_over_it_i12(
    ground: Ground, point: str
) -> None:
    world = await ground.world("replay", keys=["a"], each=3, handlers=("charge",), **REFUSED)
    await _refused_one(world, ground)
    world.plan = replace(world.plan, refused="")

    told = await _desk(world, "replay", "--yes")
    doomed = await world.start("payments", f"{point}:1")
    status = await doomed.end(patient(30))
    child = await world.start("payments")
    await world.until_effects("payments", 3, 40)
    await _desk(world, "replay", "--yes", "--again")
    await _until(lambda: child.arrivals("duplicate"))
    stopped = await child.stop()

    assert (told["replayed"], status, stopped) == (1, -signal.SIGKILL, 0)
    assert sorted(one.number for one in await world.effects("payments")) == [0, 1, 2]
    assert (await _desk(world, "list"))["total"] == 0
    assert (await _desk(world, "list", "--all"))["states"] == {"replayed": 1}


async def _refused_one(world: World, ground: Ground) -> None:
    """Have one order in the dead letters, and the others handled."""
    child = await world.start("payments")
    await child.until_ready(40)
    await world.publish(ground.producer)
    await world.until_effects("payments", 2, 40)
    async with asyncio.timeout(patient(30)):
        while not await world.letters():
            await asyncio.sleep(LOOK)
    assert await child.stop() == 0


async def _desk(world: World, *arguments: str) -> dict[str, object]:
    """Run the command as an operator does; give the last line that it writes."""
    where = ("--service", f"{world.plan.run}-payments", "--broker", world.plan.broker, "--json")
    desk = await asyncio.create_subprocess_exec(
        *(str(SCRIPT), "dlq", *arguments, *where),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    async with asyncio.timeout(patient(40)):
        written, _ = await desk.communicate()
    assert desk.returncode == 0
    told: dict[str, object] = json.loads(written.splitlines()[-1])
    return told


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patient(30)):
        while not condition():
            await asyncio.sleep(LOOK)

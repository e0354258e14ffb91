"""A dead letter is replayed, and the service is killed between taking the replay and its end."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.crash.conftest import Ground
from tests.crash.desks import LOOK, refused, work
from tests.crash.world import UNTROUBLED
from tests.patience import patient

REFUSED: dict[str, Any] = {**UNTROUBLED, "refused": "a/1"}

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.mark.parametrize("pair", ["kafka-postgresql", "kafka-sqlite", "mqtt-sqlite"], indirect=True)
@pytest.mark.parametrize("point", ["recorded", "committed"])
async def test_a_replay_is_one_effect_although_the_service_is_killed_over_it_i12(
    ground: Ground, point: str
) -> None:
    world = await ground.world("replay", keys=["a"], each=3, handlers=("charge",), **REFUSED)
    await refused(world, ground, 1, others=2)
    world.plan = replace(world.plan, refused="")

    told = (await work(world, "replay", "--yes")).last
    doomed = await world.start("payments", f"{point}:1")
    status = await doomed.end(patient(30))
    child = await world.start("payments")
    await world.until_effects("payments", 3, 40)
    await work(world, "replay", "--yes", "--again")
    await _until(lambda: child.arrivals("duplicate"))
    stopped = await child.stop()

    assert (told["replayed"], status, stopped) == (1, -signal.SIGKILL, 0)
    assert sorted(one.number for one in await world.effects("payments")) == [0, 1, 2]
    assert (await work(world, "list")).last["total"] == 0
    assert (await work(world, "list", "--all")).last["states"] == {"replayed": 1}


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patient(30)):
        while not condition():
            await asyncio.sleep(LOOK)

"""F1: processes are killed at random while events come in."""

import asyncio
import signal
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from tests.crash.conftest import Ground
from tests.crash.processes import Child
from tests.crash.world import World

pytestmark = pytest.mark.alone

KEYS = [f"key-{number}" for number in range(50)]
EACH = 100
KILLS = 5
TROUBLES: Mapping[str, Any] = {"flaky": "key-1/3", "refused": "key-2/5", "spoilt": 3}
SEED = 20260
PROGRESS = 60.0
"""Seconds within which the next goal is reached, restarts included."""


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.parametrize("pair", ["kafka-postgresql", "mqtt-sqlite"], indirect=True)
async def test_kills_at_random_lose_nothing_repeat_no_effect_and_keep_order(
    ground: Ground,
) -> None:
    """I1, I2, I15, O1: 5,000 events of 50 keys through two services, five kills with -9."""
    world = await ground.world("loop", keys=KEYS, each=EACH, handlers=("charge",), **TROUBLES)
    roles = ("payments", "ledger")
    living = {role: await world.start(role) for role in roles}
    for child in living.values():
        await child.until_ready(40)

    publishing = asyncio.create_task(world.publish(ground.producer))
    everyone = await _killed(world, living)
    await publishing
    await world.until_done(120)
    statuses = [await child.stop() for child in living.values()]
    for role in roles:  # what only the memory of a process knew is gone now
        fresh = await world.start(role)
        await fresh.until_ready(40)
        statuses.append(await fresh.stop())

    suppressed = sum(child.arrivals("duplicate") for child in everyone)
    print(f"\n{KILLS} kills, {suppressed} duplicates suppressed")  # noqa: T201
    assert statuses == [0, 0, 0, 0]
    assert await world.faults() == []
    assert suppressed > 0


async def _killed(world: World, living: dict[str, Child]) -> list[Child]:
    """Kill a process of either role, at random progress, and restart it; return all."""
    dice = Random(SEED)
    everyone = list(living.values())
    goals = sorted(dice.sample(range(200, len(world.plan.charged) - 200), KILLS))
    for kill, goal in enumerate(goals):
        role = ("payments", "ledger")[kill % 2]
        await world.until_effects(role, goal, PROGRESS)
        living[role].signal(signal.SIGKILL)
        assert await living[role].end(10) == -signal.SIGKILL
        living[role] = await world.start(role)
        everyone.append(living[role])
    return everyone

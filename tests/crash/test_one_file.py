"""Several processes share one SQLite file, and their handlers its transactions, and are killed."""

import asyncio
import signal
from random import Random

import pytest

from tests.crash.conftest import Ground
from tests.crash.processes import Child
from tests.crash.world import UNTROUBLED

KEYS = [f"key-{number}" for number in range(40)]
EACH = 15
KILLS = 5
PROGRESS = 60.0
"""Seconds within which the next goal is reached, restarts included."""
ROLES = ("payments", "payments", "ledger", "ledger")

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(250)]


@pytest.mark.parametrize("pair", ["kafka-sqlite"], indirect=True)
async def test_kills_of_processes_that_share_one_file_lose_and_repeat_nothing(
    ground: Ground,
) -> None:
    """F1, O5: two processes of each service, up to 64 handlers in a transaction."""
    kinds = ("charge", "deliver")
    world = await ground.world("file", keys=KEYS, each=EACH, handlers=kinds, **UNTROUBLED)
    children: list[Child] = [await world.start(role) for role in ROLES]
    for child in children:
        await child.until_ready(40)
    publishing = asyncio.create_task(world.publish(ground.producer))

    goals = sorted(Random(11).sample(range(150, 2 * len(KEYS) * EACH - 150), KILLS))
    for turn, goal in enumerate(goals):
        await world.until_effects("payments", goal, PROGRESS)
        place = turn % len(ROLES)
        children[place].signal(signal.SIGKILL)
        assert await children[place].end(10) == -signal.SIGKILL
        children[place] = await world.start(ROLES[place])

    await publishing
    await world.until_done(120)
    statuses = [await child.stop() for child in children]

    assert statuses == [0] * len(ROLES)
    assert await world.faults() == []

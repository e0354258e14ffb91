"""Handlers of several processes share transactions, and the database or a process is killed."""

import asyncio
import signal
from collections.abc import Callable
from random import Random

import pytest

from tests.crash.conftest import Ground, Pair
from tests.crash.processes import Child
from tests.crash.world import UNTROUBLED
from tests.local import KafkaPart, Postgres, PostgresPart

KEYS = [f"key-{number}" for number in range(50)]
EACH = 30
SHARED = "together=16"
PROGRESS = 60.0
"""Seconds within which the next goal is reached, restarts included."""
ROLES = ("payments", "payments", "ledger", "ledger")

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture
def server(postgres_server: Callable[[dict[str, str]], Postgres]) -> Postgres:
    """Return a PostgreSQL that may be killed."""
    return postgres_server({})


@pytest.fixture
def pair(real_kafka: KafkaPart, server: Postgres) -> Pair:
    """Return Kafka and that server."""
    return Pair(broker=real_kafka, postgres=PostgresPart(server.dsn, server=server))


async def test_kills_of_the_database_and_of_processes_lose_and_repeat_nothing_of_what_is_shared(
    ground: Ground, server: Postgres
) -> None:
    """F1, F14: two processes of each service, at most 16 handlers in a transaction."""
    kinds = ("charge", "deliver")
    world = await ground.world(
        "shared", keys=KEYS, each=EACH, handlers=kinds, options=SHARED, **UNTROUBLED
    )
    children: list[Child] = [await world.start(role) for role in ROLES]
    for child in children:
        await child.until_ready(40)
    publishing = asyncio.create_task(world.publish(ground.producer))

    goals = sorted(Random(7).sample(range(300, 2 * len(KEYS) * EACH - 300), 4))
    for turn, goal in enumerate(goals):
        await world.until_effects("payments", goal, PROGRESS)
        if turn % 2:
            place = turn % len(ROLES)
            children[place].signal(signal.SIGKILL)
            assert await children[place].end(10) == -signal.SIGKILL
            children[place] = await world.start(ROLES[place])
        else:
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(0.2 * turn)
            await asyncio.to_thread(server.start)

    await publishing
    await world.until_done(120)
    statuses = [await child.stop() for child in children]

    assert statuses == [0] * len(ROLES)
    assert await world.faults() == []

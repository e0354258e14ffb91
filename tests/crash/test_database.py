"""F14: the database is killed, cut off in its commits, and locked, under load."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import asyncpg
import pytest

from tests.crash.conftest import Ground, Pair
from tests.crash.cutting import CommitCutter
from tests.crash.processes import Child
from tests.crash.world import UNTROUBLED, World
from tests.local import MqttPart, Postgres, PostgresPart

KEYS = [f"key-{number}" for number in range(20)]
EACH = 40
LATER = 200
"""Effects before anything happens."""
HEALED = 60.0
CUTS = 20

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def server(postgres_server: Callable[[dict[str, str]], Postgres]) -> Postgres:
    """Return a PostgreSQL that may be killed."""
    return postgres_server({})


@pytest.fixture
def pair(mosquitto: MqttPart, server: Postgres) -> Pair:
    """Return Mosquitto and that server."""
    return Pair(broker=mosquitto, postgres=PostgresPart(server.dsn, server=server))


@pytest.fixture
async def cutter(server: Postgres) -> AsyncGenerator[CommitCutter]:
    """Return a proxy before that server."""
    async with CommitCutter(server.port, every=25, most=CUTS) as proxy:
        yield proxy


async def _begun(
    ground: Ground,
    **details: Any,  # noqa: ANN401 -- of the world
) -> tuple[World, list[Child]]:
    """Start both services under load, and return when it is well under way."""
    kinds = ("charge", "announce")
    world = await ground.world(
        "faults", keys=KEYS, each=EACH, handlers=kinds, **UNTROUBLED, **details
    )
    children = [await world.start(role) for role in ("payments", "ledger")]
    for child in children:
        await child.until_ready(40)
    await world.publish(ground.producer)
    await world.until_effects("payments", LATER, 40)
    return world, children


async def _healed(world: World, children: list[Child]) -> None:
    """See that all is done without help, once each, and that no attempt was counted."""
    await world.until_done(HEALED)
    statuses = [await child.stop() for child in children]

    assert statuses == [0, 0]
    assert await world.faults() == []
    assert [child.arrivals("failing") for child in children] == [0, 0]


async def test_a_database_that_is_killed_and_comes_back_loses_and_repeats_nothing(
    ground: Ground, server: Postgres
) -> None:
    world, children = await _begun(ground)

    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)

    await _healed(world, children)


async def test_a_commit_that_is_lost_or_whose_answer_is_lost_happens_once_o12(
    ground: Ground, server: Postgres, cutter: CommitCutter
) -> None:
    """What became of it is found out by the next attempt."""
    world, children = await _begun(ground, ports=(server.port, cutter.port))

    await _healed(world, children)

    print(f"\n{cutter.lost} commits lost, {cutter.unanswered} unanswered")  # noqa: T201
    assert min(cutter.lost, cutter.unanswered) >= CUTS // 2


async def test_a_lock_that_is_held_for_long_is_waited_for_and_is_nobodys_failure(
    ground: Ground,
) -> None:
    world, children = await _begun(ground, options="timeout=1")
    assert ground.database is not None

    other = await asyncpg.connect(ground.database.partition("?")[0])
    async with other.transaction():
        await other.execute("LOCK TABLE choreo_inbox IN ACCESS EXCLUSIVE MODE")
        before = len(await world.effects("payments"))
        await asyncio.sleep(5)
        held = len(await world.effects("payments"))
    await other.close()

    assert held == before
    await _healed(world, children)

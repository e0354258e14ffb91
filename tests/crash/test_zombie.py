"""F3: a process is frozen in the middle of a handler, another takes over, the first goes on."""

import asyncio
import signal
import sqlite3
from typing import NamedTuple

import pytest

from tests.crash.conftest import SESSION, Ground
from tests.crash.processes import Child
from tests.crash.world import World

FREEZE = 2 * SESSION
KEYS = ("a", "b", "c", "d", "e", "f", "g", "h")
"""Enough that each of two partitions has some."""
PAUSE = 0.5
"""Seconds that a handler takes: a signal sent in the middle of one meets it there."""
BEHIND = {"own_write": "own_written", "own_act": "own_acted"}
"""The points before and behind a pause of a handler."""
SOME = 2
IDLE = 4.0
"""Seconds after which PostgreSQL ends the transaction of a process that says nothing."""
TAKEN_OVER = 60.0

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(150)]


class Scene(NamedTuple):
    """The processes of a run, the first of which stands still."""

    zombie: Child
    other: Child
    ledger: Child
    point: str
    """The last that it was at."""
    since: float
    """When it was frozen, by the loop's clock."""


@pytest.mark.parametrize("pair", ["kafka-postgresql", "mqtt-postgresql"], indirect=True)
async def test_a_process_frozen_in_its_transaction_is_replaced_and_writes_nothing_more(
    ground: Ground,
) -> None:
    """K10, I5: PostgreSQL rolls back what is idle, so that another can do it."""
    world = await ground.world(
        "idle", options=f"idle={IDLE:g}", keys=KEYS, each=3, pauses={"charge": PAUSE}
    )
    scene = await _frozen(ground, world, "own_write")

    await world.until_done(TAKEN_OVER)
    await _thawed(scene)
    await _stopped(scene)

    assert await world.faults() == []


@pytest.mark.parametrize("pair", ["kafka-postgresql"], indirect=True)
async def test_what_a_frozen_transaction_holds_waits_for_it_and_other_keys_go_on(
    ground: Ground,
) -> None:
    """K10: with the ordinary ``idle``, which is longer than the freeze."""
    world = await ground.world("held", keys=KEYS, each=3, pauses={"charge": PAUSE})
    scene = await _frozen(ground, world, "own_write")

    await asyncio.sleep(FREEZE)
    charged = {(one.handler, one.key, one.number) for one in await world.effects("payments")}
    await _thawed(scene)
    await world.until_done(TAKEN_OVER)
    await _stopped(scene)

    assert len({key for _, key, _ in world.plan.charged - charged}) <= len(KEYS) // 2
    assert await world.faults() == []


@pytest.mark.parametrize("pair", ["kafka-sqlite"], indirect=True)
async def test_a_process_frozen_in_its_transaction_holds_all_of_sqlite_until_it_goes_on(
    ground: Ground,
) -> None:
    """K10, O9: SQLite has one writer, and nobody can take its lock away."""
    world = await ground.world("writer", keys=KEYS, each=3, pauses={"charge": PAUSE})
    scene = await _frozen(ground, world, "own_write")

    before = await world.effects("payments")
    await asyncio.sleep(FREEZE)
    after = await world.effects("payments")
    await _thawed(scene)
    await world.until_done(TAKEN_OVER)
    await _stopped(scene)

    assert before == after
    assert await world.faults() == []


async def test_a_process_frozen_under_its_lease_is_replaced_and_its_end_is_refused(
    ground: Ground,
) -> None:
    """K10, I5, I6: the database's clock ends the lease, and a fence tells the late one."""
    options = f"idle={IDLE:g}" if ground.shared else ""  # for transactions that freeze with it
    world = await ground.world(
        "lease", options=options, keys=KEYS, each=3, pauses={"remind": 4 * PAUSE}
    )
    scene = await _frozen(ground, world, "own_act")

    await world.until_done(TAKEN_OVER)
    await _thawed(scene)
    await _stopped(scene)

    assert await world.faults() == []


async def _frozen(ground: Ground, world: World, point: str) -> Scene:
    """Return a process that stands still in a handler behind *point*, and another beside it."""
    ledger, zombie = await asyncio.gather(world.start("ledger"), world.start("payments"))
    await asyncio.gather(ledger.until_ready(40), zombie.until_ready(40))
    together = ground.kafka is not None  # in MQTT, who comes later takes the session over
    first = [await world.start("payments")] if together else []
    for process in first:
        await process.until_ready(40)
    await world.publish(ground.producer)
    await zombie.until(lambda child: child.arrivals(point) >= SOME, f"{SOME} times at {point}", 30)
    await asyncio.sleep(max(world.plan.pauses.values()) / 2)
    await zombie.freeze()
    while _elsewhere(world, zombie, point):
        zombie.signal(signal.SIGCONT)
        await asyncio.sleep(PAUSE / 20)
        await zombie.freeze()
    others = first or [await world.start("payments")]
    await others[0].until_ready(40)
    return Scene(zombie, others[0], ledger, point, asyncio.get_running_loop().time())


def _elsewhere(world: World, zombie: Child, point: str) -> bool:
    """Say whether it stands where the test does not want it, and has to go on for a moment."""
    if zombie.arrivals(point) == zombie.arrivals(BEHIND[point]):
        return True  # between two handlers, as when another has SQLite's lock
    return point == "own_act" and _holds_sqlite(world)  # it happened to renew its leases just then


def _holds_sqlite(world: World) -> bool:
    """Say whether the database is a file that nobody else can write to now."""
    url = world.plan.stores["payments"]
    if not url.startswith("sqlite"):
        return False
    connection = sqlite3.connect(url.partition("///")[2], timeout=0.1, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


async def _thawed(scene: Scene) -> None:
    """Let the process go on in time, past the pause of the handler that it was in.

    What follows is awaited by its stop: an end, or nothing where the order is refused or fails.
    """
    await asyncio.sleep(scene.since + FREEZE - asyncio.get_running_loop().time())
    zombie, point = scene.zombie, BEHIND[scene.point]
    before = zombie.arrivals(point)
    zombie.signal(signal.SIGCONT)
    await zombie.until(lambda child: child.arrivals(point) > before, f"at {point} again", 20)


async def _stopped(scene: Scene) -> None:
    processes = (scene.zombie, scene.other, scene.ledger)
    statuses = [await process.stop() for process in processes]
    assert statuses == [0, 0, 0], scene.zombie.tail()

"""A process is killed at each named point; its effects, emits and letters are whole and single.

Each point is met on both brokers and on both databases, in two of their four pairs, which take
turns from point to point; ``CHOREO_TEST_CRASHES=all`` meets each in all four.
"""

import asyncio
import os
import signal

import pytest

from choreo.failpoints import POINTS
from tests.crash.conftest import Ground
from tests.crash.world import World

pytestmark = pytest.mark.alone

AT_ONCE = 13
"""Runs at a time: most of each is waiting for a session, or a lease, to run out."""
HIT = 20.0
"""Seconds within which a process must have died."""
DONE = 70.0
"""A line of the lot that somebody was at is left alone for half a minute."""
RARE = {
    *("received", "boarded", "recalled", "parking", "parked", "joining", "joined", "resumed"),
    *("failing", "noted", "burying", "lettered", "buried"),
    *("settling", "settled", "acknowledging", "acknowledged"),
    *("relay_read", "relay_sending", "relay_sent", "relay_settled"),
}
"""Points that may be reached just once or twice."""
SLOW = {"resumed", "joining", "joined"}
OWN_POINTS = {"own_write", "own_written", "own_act", "own_acted"}


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_kill_at_any_point_leaves_each_effect_and_each_emitted_event_once(
    ground: Ground,
) -> None:
    """F2, I1, I2, I15, O1, D2: killed with -9 at each point, then started again."""
    points = sorted(_points(ground), key=lambda point: point not in SLOW)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(point: str) -> list[str]:
        async with gate:
            return await _killed_at(ground, point)

    results = await asyncio.gather(*(one(point) for point in points))

    faults = {point: found for point, found in zip(points, results, strict=True) if found}
    assert faults == {}


def _points(ground: Ground) -> list[str]:
    """Choose every second point for Kafka with PostgreSQL and MQTT with SQLite, else the others."""
    points = sorted(POINTS | OWN_POINTS)
    if os.environ.get("CHOREO_TEST_CRASHES") == "all":
        return points
    return points[(ground.kafka is None) ^ (ground.database is None) :: 2]


async def _killed_at(ground: Ground, point: str) -> list[str]:
    """Run the choreography once, killing the first service at *point*; return what is wrong."""
    world = await ground.world(point)
    nth = 1 if point in RARE else 3
    try:
        ledger, payments = await asyncio.gather(
            world.start("ledger"), world.start("payments", f"{point}:{nth}")
        )
        await asyncio.gather(ledger.until_ready(40), payments.until_ready(40))
        await world.publish(ground.producer)
        if await payments.end(HIT) != -signal.SIGKILL:
            return [f"not killed there: {payments.tail()}"]
        payments = await world.start("payments")
        await world.until_done(DONE)
        statuses = [await payments.stop(), await ledger.stop()]
        if any(statuses):
            return [f"stopped with {statuses}: {payments.tail()}"]
        return await world.faults()
    except (AssertionError, RuntimeError) as error:
        return [f"{error}\n{_tail(world)}"]


def _tail(world: World) -> str:
    log = world.plan.folder / f"{world.plan.run}-payments.log"
    return log.read_text()[-4_000:]

"""Numbered moves of many items, some told late, whose handlers also park what fails."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from choreo import Context, Event, Gaps, Reject, Service
from choreo.gaps import Late
from choreo.park import Park
from choreo.store.memory import MemoryTransaction
from choreo.testing.simulation import World
from tests.simulation.shop import made

LATE: Sequence[Late] = ("dead_letter", "drop")
PARK = Park(attempts=3, initial=timedelta(seconds=1), maximum=timedelta(seconds=4), then="skip")
FORGOTTEN = 0.2


class Moved(Event, topic="moves", key="item", sequence="number"):
    item: str
    number: int
    mood: str = "plain"


def services() -> Sequence[Service[Any]]:
    """Make one service for each way with late ones; both park."""
    return [_depot(late) for late in LATE]


def _depot(late: Late) -> Service[Any]:
    depot = made(f"depot-{late}")

    @depot.on(Moved, gaps=Gaps(late=late, patience=timedelta(seconds=1)), on_failure=PARK)
    async def book(moved: Moved, ctx: Context[MemoryTransaction]) -> None:
        if moved.mood == "barred":
            raise Reject("no such place")
        if moved.mood == "stuck" or (moved.mood == "shaky" and ctx.attempt < 5):
            raise ConnectionError("the crane does not answer")
        ctx.transaction[moved.item] = moved.number

    return depot


async def few(world: World) -> None:
    """Move a few items, or many; some moves are told late, in any order."""
    items = [f"item-{number}" for number in range(world.random.choice((1, 2, 12)))]
    last = dict.fromkeys(items, 0)
    late: list[Moved] = []
    for _ in range(world.random.randint(1, 14)):
        item = world.random.choice(items)
        last[item] += 1
        mood = world.random.choice(("plain",) * 5 + ("shaky", "stuck", "barred"))
        moved = Moved(item=item, number=last[item], mood=mood)
        if world.random.random() < FORGOTTEN:
            late.append(moved)
        else:
            await world.publish(moved)
        await world.sleep(world.random.expovariate(3.0))
    world.random.shuffle(late)
    for moved in late:
        await world.publish(moved)

"""A service that keeps losing the line to its broker, and numbers that come a little too soon."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from choreo import Context, Event, Gaps, Service
from choreo.store.memory import MemoryTransaction
from choreo.testing.simulation import Climate, Fault, History, Rates, Weather, World
from tests.simulation.shop import made

SPAN = 20.0
"""Seconds within which all of it happens."""
SWAPPED = 0.4
"""Share of the numbers that come behind the one after them."""


class Sighted(Event, topic="sightings", key="post", sequence="number"):
    post: str
    number: int


def services() -> Sequence[Service[Any]]:
    """Make the one at the far end of the line."""
    outpost = made("outpost")

    @outpost.on(Sighted, gaps=Gaps(patience=timedelta(seconds=2)))
    async def log(sighted: Sighted, ctx: Context[MemoryTransaction]) -> None:
        ctx.transaction[sighted.post] = sighted.number

    return [outpost]


async def few(world: World) -> None:
    """Tell of some posts, whose neighbouring numbers are swapped now and then."""
    count = 12
    for number in range(1, 2 * count, 2):
        swapped = world.random.random() < SWAPPED
        for one in (number + 1, number) if swapped else (number, number + 1):
            for post in ("north", "south"):
                await world.publish(Sighted(post=post, number=one))
            await world.sleep(SPAN / count / 2 * world.random.random())


def nothing_given_up(history: History) -> Iterator[str]:
    """Tell the numbers that were given up: all are at the broker well before patience is over."""
    for entry in history.of("ended"):
        if entry.text == "dead_lettered":
            yield f"number {entry.number} of {entry.key} was given up on {entry.host}"


class Losses(Climate):
    """The line is cut for longer than patience, and sometimes the broker answers nobody."""

    def draw(self, random: Random, services: int) -> Weather:
        """Draw when; on either transport."""
        cuts = [
            Fault(at=random.uniform(0.0, SPAN), kind="cut", seconds=random.uniform(0.5, 12.0))
            for _ in range(random.randint(1, 4))
        ]
        calm = replace(super().draw(random, services), traps=(), processes=1, window=20, queue=1000)
        return replace(
            calm,
            transport=random.choice(("kafka", "mqtt")),
            faults=tuple(sorted(cuts, key=lambda fault: fault.at)),
        )


climate = Losses(kinds=(), rates=Rates(), traps=0, processes=1)
invariants = (nothing_given_up,)

"""Two processes of one service which stand still again and again, and are given up meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from choreo import Service
from choreo.testing.simulation import Climate, Fault, Rates, Trap, Weather, World
from tests.simulation.shop import OrderPlaced, made

SPAN = 40.0
"""Seconds within which all of it happens."""


def services() -> Sequence[Service[Any]]:
    """Make the one that takes its time."""
    slow = made("slow")

    @slow.on(OrderPlaced)
    async def note(order: OrderPlaced) -> None:
        await asyncio.sleep(0.2)

    return [slow]


async def few(world: World) -> None:
    """Place orders of some customers for as long as it lasts."""
    for number in range(40):
        await world.publish(OrderPlaced(customer=f"customer-{number % 6}", number=number))
        await world.sleep(SPAN / 40)


class Absences(Climate):
    """A process stands still with something to commit; when it goes on, nobody may be a member."""

    def draw(self, random: Random, services: int) -> Weather:
        """Draw when the group is left without a member, and when the broker answers nobody."""

        def blow(**fault: Any) -> Fault:  # noqa: ANN401 -- as Fault has them
            return Fault(at=random.uniform(0.0, SPAN), seconds=random.uniform(1.0, 10.0), **fault)

        gone = [blow(kind="disband") for _ in range(8)] + [blow(kind="broker") for _ in range(3)]
        still = [
            Trap(
                point="settled", kind="pause", rate=0.1, times=3, seconds=random.uniform(7.0, 20.0)
            )
            for _ in range(3)
        ]
        return replace(
            super().draw(random, services),
            processes=2,
            faults=tuple(sorted(gone, key=lambda fault: fault.at)),
            traps=tuple(still),
        )


climate = Absences(kinds=(), rates=Rates(), traps=0)

"""A slow service over MQTT, where connections break and processes die."""

import asyncio
from collections.abc import Sequence
from typing import Any

from choreo import Service
from choreo.testing.simulation import Climate, Rates, World
from tests.simulation.shop import OrderPlaced, made


def services() -> Sequence[Service[Any]]:
    """Make the one that takes its time."""
    slow = made("slow")

    @slow.on(OrderPlaced)
    async def note(order: OrderPlaced) -> None:
        await asyncio.sleep(0.1 + 0.3 * (order.number % 4))

    return [slow]


async def few(world: World) -> None:
    """Place a dozen orders of as many customers, fast."""
    for number in range(12):
        await world.publish(OrderPlaced(customer=f"customer-{number}", number=number))
        await world.sleep(0.1)


climate = Climate(
    transport="mqtt",
    kinds=("evict", "broker", "rebalance", "crash", "crash"),
    rates=Rates(duplicated=0.2, slow=0.1),
    faults=24,
    seconds=4.0,
)

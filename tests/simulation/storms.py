"""A slow service where records come twice, letters are refused and processes die."""

import asyncio
from collections.abc import Sequence
from typing import Any

from choreo import Reject, Service
from choreo.testing.simulation import Climate, Rates
from tests.simulation.shop import OrderPlaced, PaymentTaken, few, made

__all__ = ["climate", "few", "services"]


def services() -> Sequence[Service[Any]]:
    """Make the one that takes its time."""
    slow = made("slow")

    @slow.on(OrderPlaced)
    async def charge(order: OrderPlaced) -> PaymentTaken:
        if order.mood == "stolen":
            raise Reject("a stolen card")
        await asyncio.sleep(1.0)
        return PaymentTaken(customer=order.customer, number=order.number)

    return [slow]


climate = Climate(
    kinds=("evict", "crash", "ambush"),
    rates=Rates(refused=0.3, unknown=0.3, duplicated=0.6, slow=0.1),
    faults=12,
    seconds=6.0,
)

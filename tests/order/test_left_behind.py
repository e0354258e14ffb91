"""Events that wait in the store when the handler that parked them parks no more."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from choreo import Event, Park, Retry, Service
from choreo.errors import ChoreoError
from choreo.plan import OnFailure
from choreo.testing import Harness

SOON = timedelta(milliseconds=20)


class Placed(Event, topic="orders", key="order"):
    order: str
    number: int


class Shop:
    """One deployment of a service, whose handler fails or not."""

    def __init__(self, url: str, on_failure: OnFailure | Park, *, fails: bool) -> None:
        self.service = Service("shop", store=url, retry=Retry(attempts=1))
        self.service.on(Placed, on_failure=on_failure)(self.charge)
        self.fails = fails
        self.tried: list[int] = []

    async def charge(self, placed: Placed) -> None:
        """Handle, or fail for a reason that another day mends."""
        self.tried.append(placed.number)
        if self.fails:
            raise ChoreoError("not today")


async def until(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds, within the time of a test."""
    while not condition():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("fails", [False, True])
async def test_what_was_parked_is_handled_or_buried_when_nobody_parks_any_more(
    tmp_path: Path, *, fails: bool
) -> None:
    """D1: nothing that was settled for the store's sake stays there unseen."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    parking = Shop(url, Park(initial=SOON, maximum=SOON), fails=True)
    async with Harness(parking.service, outage_keys=0) as world:
        for number in (1, 2):
            await world.publish(Placed(order="a", number=number))
        await until(lambda: len(parking.tried) >= 2)

    plain = Shop(url, "dead_letter", fails=fails)
    async with Harness(plain.service, outage_keys=0) as world:
        await until(lambda: plain.tried == [1, 2])
        await world.settle()
        await until(lambda: len(world.dead_letters) == (2 if fails else 0))

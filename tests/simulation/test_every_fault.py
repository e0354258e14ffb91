"""Each kind of trouble comes about in a world that has it, and everything holds all the same."""

import re
from dataclasses import fields, replace
from typing import get_args

import pytest

from choreo.testing.simulation import Fault, Rates, Simulation, Weather, World
from choreo.testing.simulation.weather import Nemesis
from tests.simulation import till
from tests.simulation.shop import orders

TOLD: dict[Nemesis, str] = {
    "crash": "is killed",
    "ambush": "is to die (before|after) its next call counts",
    "pause": r"stands still for 7\.00 s",
    "evict": r"is evicted, and hears of it after 7\.00 s",
    "rebalance": "every group is dealt anew",
    "stop": "is asked to stop",
    "session": "the session of payments is lost",
    "lock": r"the store of payments is locked for 7\.00 s",
    "broker": r"the broker is down for 7\.00 s",
    "store": r"the store of payments is down for 7\.00 s",
    "skew": "has its clock moved",
    "cut": r"reaches its broker no more for 7\.00 s",
    "disband": "no group has a member any more",
}
"""What a history says of each."""


async def many(world: World) -> None:
    """Place orders for longer than the trouble lasts."""
    await orders(world, 24)


def of(kind: str) -> Weather:
    """Make weather over the transport that has such trouble."""
    if kind in ("session", "reordered"):
        return Weather(transport="mqtt")
    return Weather(processes=2)


def test_every_kind_of_fault_is_among_them() -> None:
    assert set(TOLD) == set(get_args(Nemesis))


@pytest.mark.parametrize("kind", TOLD)
def test_a_fault_comes_about_and_everything_holds(kind: Nemesis) -> None:
    simulation = Simulation(till.services, many)
    weather = replace(of(kind), faults=(Fault(at=2.0, kind=kind, seconds=7.0),))

    history = simulation.run(1, weather)

    told = [entry.at for entry in history.of("fault") if re.search(TOLD[kind], entry.text)]
    assert told[0] < max(entry.at for entry in history.of("published"))
    assert simulation.judge(history) == []


@pytest.mark.parametrize("name", [one.name for one in fields(Rates)])
def test_single_calls_go_wrong_and_everything_holds(name: str) -> None:
    simulation = Simulation(till.services, many)
    often = replace(of(name), rates=replace(Rates(), **{name: 0.3}))

    history = simulation.run(1, often)

    assert history.digest != simulation.run(1, of(name)).digest
    assert simulation.judge(history) == []

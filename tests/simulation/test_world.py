"""What a world does with services that cannot live in it, and with handlers in threads."""

from typing import Any

import pytest

from choreo import Context, Event, Service, failpoints
from choreo.failpoints import Point
from choreo.testing.simulation import (
    CALM,
    Simulation,
    SimulationFailed,
    Trap,
    Weather,
    World,
    observe,
    simulate,
)


class Placed(Event, topic="placed", key="customer"):
    customer: str


class Foreign:
    """A transaction that no simulated store gives."""


async def place(world: World) -> None:
    await world.publish(Placed(customer="anna"))


def test_a_service_that_cannot_start_is_told_with_the_reason() -> None:
    service: Service[Any] = Service("payments", store="memory://")

    @service.on(Placed)
    async def charge(placed: Placed, ctx: Context[Foreign]) -> None:
        """Never run."""

    with pytest.raises(SimulationFailed, match=r"cannot start: .*Foreign"):
        simulate([service], place, seeds=range(1), climate=CALM)


def test_a_plain_function_runs_within_a_step_of_its_own() -> None:
    service: Service[Any] = Service("payments")

    @service.on(Placed)
    def charge(placed: Placed) -> None:
        observe("charged", placed.customer)

    report = simulate([service], place, seeds=range(3), climate=CALM)

    assert report.entries["observed"] == 3


def test_a_scenario_that_raises_is_a_finding() -> None:
    async def wrong(world: World) -> None:
        raise LookupError("no such customer")

    with pytest.raises(SimulationFailed, match="no such customer"):
        simulate([Service("payments")], wrong, seeds=range(1), climate=CALM)


def test_observing_outside_of_a_simulation_does_nothing() -> None:
    observe("charged", "anna")


class Settled(Event, topic="settled", key="customer"):
    customer: str


def twice() -> list[Service[Any]]:
    """Make a service that tells of each time it is called."""
    service: Service[Any] = Service("payments", store="memory://")

    @service.on(Placed)
    async def charge(placed: Placed) -> Settled:
        observe("charged", placed.customer)
        return Settled(customer=placed.customer)

    return [service]


@pytest.mark.parametrize(("point", "calls"), [("handled", 2), ("committed", 1)])
def test_a_trap_kills_whoever_comes_to_a_point_of_the_machinery(point: Point, calls: int) -> None:
    """What is not committed by then is done again, and what is is not."""
    simulation = Simulation(twice, place, climate=CALM)

    history = simulation.run(0, Weather(traps=(Trap(point=point, rate=1.0, seconds=0.5),)))

    assert [entry.text for entry in history.of("fault") if point in entry.text] == [
        f"has come to {point}"
    ]
    assert len(history.observed("charged")) == calls
    assert simulation.judge(history) == []


def test_failpoints_hear_of_a_simulation_only_while_it_runs() -> None:
    before = list(failpoints.armed)

    Simulation(twice, place, climate=CALM).run(0)

    assert failpoints.armed == before

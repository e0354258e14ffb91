"""What seeds have found: promises that were broken once, each in a small world that shows it."""

from typing import Any

import pytest

from choreo import Service
from choreo.dead_letter import is_dead_letter_topic
from choreo.testing.simulation import CALM, Fault, Rates, Simulation, Weather, World
from tests.simulation import depot
from tests.simulation.shop import PARK, SOON, OrderPlaced, orders, shop


async def one_sticks(world: World) -> None:
    """Have one key ship, fail for good, and see its first event again while it waits."""
    for mood in ("plain", "stuck"):
        await world.publish(OrderPlaced(customer="anna", number=1, mood=mood))
    await world.sleep(3.0)


def test_a_copy_of_a_handled_event_that_is_parked_with_its_key_is_no_dead_letter() -> None:
    """Its line is buried whole: the copy was buried with it, and then for ever (I1, D2)."""
    simulation = Simulation(shop, one_sticks, climate=CALM)

    for seed in range(5):
        history = simulation.run(seed, Weather(rates=Rates(duplicated=1.0)))

        buried = {entry.id for entry in history.of("accepted") if is_dead_letter_topic(entry.topic)}
        assert simulation.judge(history) == []
        assert len(buried) == 1


def suspicious() -> list[Service[Any]]:
    """Make a service that takes two keys that fail alike for an outage."""
    lone: Service[Any] = Service("lone", store="memory://", outage_keys=2)

    @lone.on(OrderPlaced, retry=SOON, on_failure=PARK)
    async def fail(order: OrderPlaced) -> None:
        raise LookupError("no such address")

    return [lone]


async def one_fails(world: World) -> None:
    """Place one order, which fails and is parked."""
    await world.publish(OrderPlaced(customer="anna", number=1))


def test_a_key_that_is_parked_is_no_second_key_of_an_outage() -> None:
    """It failed under its own name and under its line's: its handler rested for a day."""
    simulation = Simulation(suspicious, one_fails, climate=CALM)

    history = simulation.run(0)

    assert simulation.judge(history) == []
    assert [entry.at < 60 for entry in history.of("dead")] == [True]


CORPUS = {
    14: Weather(
        processes=2,
        latency=0.001,
        rates=Rates(refused=0.01288227694120119, uncommitted=0.060761166593692864),
        faults=(
            Fault(at=2.450107831251296, kind="rebalance"),
            Fault(at=10.949506076761955, kind="rebalance"),
            Fault(at=15.168109022221541, kind="stop", target=1, seconds=0.029538219825378093),
        ),
    ),
}
"""Seeds that failed, with what they took: a line taken anew before it was quite given back (14)."""


@pytest.mark.parametrize("seed", CORPUS)
def test_a_seed_that_failed_once_fails_no_more(seed: int) -> None:
    simulation = Simulation(shop, orders)

    assert simulation.judge(simulation.run(seed, CORPUS[seed], frozenset({18, 19, 20}))) == []


def test_a_number_that_is_tried_again_in_one_process_is_not_given_up_by_another() -> None:
    """What waited for it in the store was taken over once patience was over, and told late."""
    simulation = Simulation(depot.services, depot.few)

    history = simulation.run(131)

    assert simulation.judge(history) == []
    assert {"parked", "handled"} <= {entry.text for entry in history.of("ended")}
    assert [entry.id for entry in history.of("ended") if entry.text == "late"] == []

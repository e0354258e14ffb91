"""What seeds have found: promises that were broken once, each in a small world that shows it."""

import pytest

from choreo.dead_letter import is_dead_letter_topic
from choreo.testing.simulation import CALM, Fault, Rates, Simulation, Weather, World
from tests.simulation.shop import OrderPlaced, orders, shop


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

"""A simulation that finds nothing shows nothing unless it finds what is there."""

import pytest

from choreo.testing.simulation import Simulation
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.shop import orders, shop_and_post

SEEDS = 50


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_planted_mistake_is_found_within_fifty_seeds(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    simulation = Simulation(shop_and_post, orders)
    named: set[str] = set()

    for seed in range(SEEDS):
        named = {text.partition(":")[0] for text in simulation.judge(simulation.run(seed))}
        if named & MUTANTS[mutant]:
            return

    pytest.fail(f"{SEEDS} seeds do not show it: {sorted(named)}")


@pytest.mark.timeout(60)
def test_without_a_mistake_there_is_no_alarm() -> None:
    simulation = Simulation(shop_and_post, orders)

    assert [text for seed in range(10) for text in simulation.judge(simulation.run(seed))] == []

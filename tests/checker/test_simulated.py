"""The checker that judges real runs judges simulated ones."""

from collections import Counter

import pytest

from choreo.testing.checker import check
from choreo.testing.simulation import History, Simulation, simulate
from choreo.testing.simulation.judging import evidence_of, judged
from tests.simulation import mutants
from tests.simulation.mutants import Mutant
from tests.simulation.shop import orders, shop, shop_and_post


@pytest.mark.timeout(60)
def test_what_is_right_under_every_fault_raises_no_alarm() -> None:
    report = simulate(shop, orders, seeds=range(10), invariants=[judged])

    assert report.findings == []


@pytest.mark.timeout(60)
def test_a_simulated_run_has_seen_what_a_real_one_must_see() -> None:
    seen: Counter[str] = Counter()

    def look(history: History) -> None:
        seen.update(check(evidence_of(history)).seen)

    simulate(shop, orders, seeds=range(10), invariants=[look])

    needed = ("redelivery", "dedupe hit", "rebalance", "dead letter")
    assert [name for name in needed if not seen[name]] == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutant", list(mutants.MUTANTS), ids=lambda mutant: mutant.__name__)
def test_a_planted_mistake_is_found_by_the_checker_alone(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    simulation = Simulation(shop_and_post, orders)

    assert any(list(judged(simulation.run(seed))) for seed in range(50))

"""A simulation that finds nothing shows nothing unless it finds what is there.

The seed that finds a mistake finds nothing without it, so that it was the mistake that it found.
"""

from importlib import import_module
from typing import Any

import pytest

from choreo.testing.simulation import Simulation
from tests.simulation import deeper, mutants
from tests.simulation.deeper import DEEPER
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.shop import orders, shop_and_post

SEEDS = 50
FEW = 4
WORLDS = (
    "till",
    "post",
    "shop",
    "meters",
    "reminders",
    "wary",
    "storms",
    "cuts",
    "absences",
    "outpost",
)
NAMED: dict[str, Mutant] = {
    "ack-first": mutants.settles_first,
    "commit-max": mutants.commits_the_newest,
    "claim-first": deeper.claims_first,
    "effect-then-record": deeper.records_after_the_effect,
    "relay-mark-first": mutants.deletes_before_publishing,
    "random emitted ids": mutants.draws_emitted_ids,
    "dedupe before reorder": deeper.dedupes_before_reordering,
    "ack stale epoch": deeper.acknowledges_on_another_connection,
    "ack duplicate of in-progress": deeper.settles_for_a_duplicate,
    "drop buffer on revoke": mutants.settles_what_is_dropped,
    "DLQ-then-ack without waiting": deeper.waits_for_no_letter,
    "skip without record": deeper.skips_without_a_record,
    "timer outside transaction": deeper.winds_timers_at_once,
    "retry releases lane": mutants.releases_the_lane_to_retry,
    "context not reset": deeper.keeps_the_context,
    "TTL too short": deeper.forgets_too_soon,
}
"""The mistakes by which event frameworks lose and repeat events, each with its mutant."""


def world(name: str) -> Simulation:
    """Make the simulation of one of the worlds here."""
    module: Any = import_module(f"tests.simulation.{name}")
    return Simulation(
        module.services,
        module.few,
        invariants=getattr(module, "invariants", ()),
        climate=getattr(module, "climate", None),
    )


def found(simulation: Simulation, mutant: Mutant, wanted: set[str]) -> int:
    """Give the first seed that breaks, by the mistake, one of the invariants that are *wanted*."""
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        for seed in range(SEEDS):
            named = {text.partition(":")[0] for text in simulation.judge(simulation.run(seed))}
            if named & wanted:
                return seed
    pytest.fail(f"{mutant.__name__} broke none of {', '.join(sorted(wanted))} in {SEEDS} seeds")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_planted_mistake_and_only_that_is_found_within_fifty_seeds(mutant: Mutant) -> None:
    simulation = Simulation(shop_and_post, orders)

    seed = found(simulation, mutant, MUTANTS[mutant])

    assert simulation.judge(simulation.run(seed)) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutant", DEEPER, ids=lambda mutant: mutant.__name__)
def test_a_deeper_mistake_and_only_that_is_found_within_fifty_seeds(mutant: Mutant) -> None:
    name, wanted = DEEPER[mutant]
    simulation = world(name)

    seed = found(simulation, mutant, wanted)

    assert simulation.judge(simulation.run(seed)) == []


def test_every_mistake_of_the_list_is_planted() -> None:
    assert len(NAMED) == 16
    assert set(NAMED.values()) <= {*MUTANTS, *DEEPER}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", WORLDS)
def test_without_a_mistake_there_is_no_alarm(name: str) -> None:
    """Of thousands of seeds ``make sim`` tells the same."""
    simulation = world(name)

    assert [text for seed in range(FEW) for text in simulation.judge(simulation.run(seed))] == []

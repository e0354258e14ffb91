"""Three services under every fault there is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from choreo.testing.simulation import CALM, Report, Simulation, simulate
from tests.simulation.shop import orders, shop

ROOT = Path(__file__).parents[2]
SEEN = ("effect", "dead", "failed", "ended duplicate", "ended dropped", "ended parked", "revoked")


@pytest.mark.timeout(60)
def test_whatever_happens_every_event_has_its_effect_once_in_order_and_none_is_lost() -> None:
    """Non-vacuous: duplicates were suppressed, streams changed hands, letters were written."""
    report = simulate(shop, orders, seeds=range(16))

    assert [kind for kind in SEEN if not report.entries.get(kind)] == []
    assert report.findings == []


@pytest.mark.timeout(60)
def test_in_calm_weather_nothing_is_handled_twice() -> None:
    report = Report()

    simulate(
        shop, orders, seeds=range(10), climate=CALM, told=lambda r: report.entries.update(r.entries)
    )

    assert "ended duplicate" not in report.entries


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(5))
def test_a_seed_is_the_same_history_twice(seed: int) -> None:
    simulation = Simulation(shop, orders)

    assert simulation.run(seed).digest == simulation.run(seed).digest


@pytest.mark.timeout(60)
def test_a_seed_is_the_same_history_whatever_the_hashes_of_strings_are() -> None:
    """Nothing depends on the order of a set, or on an address: it replays in another process."""
    program = (
        "from choreo.testing.simulation import Simulation\n"
        "from tests.simulation.shop import orders, shop\n"
        "print(Simulation(shop, orders).run(7).digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1

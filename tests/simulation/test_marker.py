"""The marker names the seeds, and the fixture runs them."""

from collections.abc import Callable

import pytest

from choreo.testing.simulation import CALM, Report
from choreo.testing.simulation.marker import simulating
from tests.simulation import till


@pytest.mark.choreo_simulation(seeds=3, climate=CALM)
def test_the_fixture_runs_as_many_seeds_as_the_marker_says(
    choreo_simulate: Callable[..., Report],
) -> None:
    report = choreo_simulate(till.services, till.few)

    assert report.seeds == 3
    assert report.findings == []


def test_the_command_line_outdoes_the_marker() -> None:
    assert simulating({"seeds": 3}, 2)(till.services, till.few, climate=CALM).seeds == 2


@pytest.mark.parametrize("said", [{"sedes": 3}, {"seeds": "many"}])
def test_what_the_marker_does_not_know_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(pytest.UsageError, match="choreo_simulation"):
        simulating(said, None)

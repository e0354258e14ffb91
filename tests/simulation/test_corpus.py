"""What failed once is kept with all that it took, and runs before any seed."""

from pathlib import Path

import pytest

from choreo.errors import ConfigurationError
from choreo.testing.simulation import (
    Case,
    Corpus,
    Fault,
    Finding,
    History,
    Rates,
    Weather,
    simulate,
)
from tests.simulation import till

CORPUS = Path(__file__).parent / "corpus.jsonl"
FOUND = Finding(
    seed=7,
    violations=["no_loss: gone"],
    weather=Weather(processes=2, rates=Rates(slow=0.1), faults=(Fault(at=1.5, kind="pause"),)),
    without=frozenset({3, 1}),
    history=History(7),
)


def test_a_finding_is_kept_with_its_weather_and_is_the_same_case_later(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus.jsonl")

    corpus.add("shop:orders", FOUND)
    corpus.add("shop:orders", FOUND)

    assert corpus.cases("shop:orders") == [Case(7, FOUND.weather, FOUND.without)]
    assert corpus.cases("shop:others") == []


def test_a_line_that_is_no_case_is_told_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text('{"scenario": "shop:orders"}\n')

    with pytest.raises(ConfigurationError, match=r"corpus\.jsonl:1 is no case"):
        Corpus(file).cases("shop:orders")


def test_a_case_is_a_seed_among_others() -> None:
    report = simulate(till.services, till.few, seeds=[Case(3, Weather()), 4])

    assert report.seeds == 2


@pytest.mark.timeout(120)
def test_several_processes_see_what_one_sees() -> None:
    alone = simulate(till.services, till.few, seeds=range(25))

    together = simulate(till.services, till.few, seeds=range(25), jobs=2)

    assert (together.seeds, together.steps) == (25, alone.steps)
    assert together.entries == alone.entries


def test_what_other_processes_cannot_have_is_refused() -> None:
    async def nothing(_: object) -> None:
        """Publish nothing."""

    with pytest.raises(ConfigurationError, match="functions of a module"):
        simulate(till.services, nothing, seeds=range(50), jobs=2)

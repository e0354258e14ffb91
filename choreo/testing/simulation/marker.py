"""What the marker ``choreo_simulation`` says of a test: how many worlds, and which."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest

from choreo.testing.simulation.report import Report
from choreo.testing.simulation.seeds import simulate

KNOWN = frozenset(("seeds", "first", "climate", "jobs"))
SEEDS = 100


def simulating(said: Mapping[str, object], asked: int | None) -> Callable[..., Report]:
    """Return ``simulate`` with what a test's marker has *said*, and as many seeds as are *asked*.

    Raises pytest.UsageError for what the marker does not know.
    """
    if unknown := sorted(said.keys() - KNOWN):
        raise pytest.UsageError(
            f"choreo_simulation does not know {', '.join(unknown)}: give some of "
            f"{', '.join(sorted(KNOWN))}"
        )
    first, count = _number(said, "first", 0), asked or _number(said, "seeds", SEEDS)
    others = {name: value for name, value in said.items() if name in {"climate", "jobs"}}
    return partial(simulate, seeds=range(first, first + count), **others)  # type: ignore[arg-type] # simulate looks at them


def _number(said: Mapping[str, object], name: str, otherwise: int) -> int:
    value = said.get(name, otherwise)
    if not isinstance(value, int):
        raise pytest.UsageError(f"choreo_simulation({name}={value!r}): give a whole number")
    return value

"""A test of handlers, once in peace and then under trouble, with the effects compared."""

from collections.abc import Callable, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from choreo.testing.effects import Effects, differences
from choreo.testing.harness import Harness
from choreo.testing.trouble import Trouble

Known = MutableMapping[tuple[str, int], Effects]
"""What each world of each test has led to in the first run of it."""
SHOWN = 20
"""Differences that a failure tells."""


class TrialWorld(Harness):
    """A harness that holds what happened in it against what happened without trouble."""

    def __init__(self, *services: Any, trial: "Trial", **options: Any) -> None:  # noqa: ANN401 -- as Harness
        super().__init__(*services, trouble=trial.trouble, **options)
        self._trial = trial
        self._place = trial.opened()

    async def __aexit__(self, *exc: object) -> None:
        """Stop the services, and compare; after a failure of the test there is nothing to."""
        effects = self.effects if exc[:1] == (None,) else None
        await super().__aexit__(*exc)
        if effects is not None:
            self._trial.judge(self._place, effects, str(self.bites))


class Trial:
    """One run of a marked test."""

    def __init__(self, name: str, trouble: Trouble, known: Known) -> None:
        self.trouble = trouble
        self._name = name
        self._known = known
        self._worlds = 0

    def opened(self) -> int:
        """Count one more world of this run."""
        self._worlds += 1
        return self._worlds

    def judge(self, place: int, effects: Effects, bites: str) -> None:
        """Fail the test if its world has led to something else than the first run's did."""
        first = self._known.setdefault((self._name, place), effects)
        wrong = differences(first, effects)
        if wrong:
            more = [f"… and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
            told = "\n  ".join([*wrong[:SHOWN], *more])
            pytest.fail(
                f"under trouble ({bites}, seed {self.trouble.seed}) other effects than without:\n"
                f"  {told}",
                pytrace=False,
            )
        if not self.trouble.calm and bites == "nothing went wrong":
            pytest.fail(
                "no trouble came about, so that nothing is shown: publish more events",
                pytrace=False,
            )


def worlds(
    name: str, arguments: dict[str, Any], seed: int | None, known: Known
) -> Callable[..., Harness]:
    """Return what makes the worlds of one run: in peace without *seed*."""
    trouble = Trouble(**{key: value for key, value in arguments.items() if key != "seeds"})
    trouble = Trouble() if seed is None else replace(trouble, seed=seed)
    return partial(TrialWorld, trial=Trial(name, trouble, known))

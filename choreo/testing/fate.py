"""Where the services of a world are to die: at every stage of an event's life, one after the other.

It decides and does nothing: each seed begins with the next stage, so that as many seeds as there
are stages have every handler's process die at each of them.  The first death comes at the first
event that gets to its stage, and so comes about however few events there are.  An event may never
get there, such as to a publication when nothing was emitted: then its process dies when it is to be
settled, which everything that ends is.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from choreo.errors import ConfigurationError
from choreo.plan import Plan

LATEST = 3
"""Arrivals at a stage by which a process dies there."""


class Stage(Enum):
    """Where in an event's life a process dies; the first of them tell most about a handler."""

    HANDLED = "after {}, with nothing written"
    COMMITTED = "at the commit of {}, which counted"
    WITHIN = "within {}"
    SENT = "at a publication, which counted"
    UNCOMMITTED = "at the commit of {}, which did not count"
    BEFORE = "before {}"
    UNSENT = "at a publication, which did not count"
    UNSETTLED = "with {} done and not settled"

    @classmethod
    def named(cls, name: str) -> "Stage":
        """Look one up; raise ConfigurationError for what is none."""
        try:
            return cls[name.upper()]
        except KeyError:
            raise ConfigurationError(
                f"stages: {name!r} is none, give some of {', '.join(STAGES)}"
            ) from None


STAGES = tuple(stage.name.lower() for stage in Stage)
COMMITS = frozenset((Stage.COMMITTED, Stage.UNCOMMITTED))
PUBLICATIONS = frozenset((Stage.SENT, Stage.UNSENT))


@dataclass(slots=True)
class Death:
    """One that is to come."""

    stage: Stage
    left: int
    """Arrivals until then."""
    begun: bool = False
    """Something got to its stage."""


class Fate:
    """The deaths of one service, dealt to its handlers over all its lives."""

    def __init__(
        self, plans: Sequence[Plan], wanted: Sequence[Stage], crashes: int, seed: int, dice: Random
    ) -> None:
        """Deal each of *plans* as many deaths as *crashes* says, at those *wanted* in turn."""
        self._due: dict[str, deque[Death]] = {}
        self._publishing = [plan.id for plan in plans if plan.emits]
        for plan in plans:
            there = [stage for stage in wanted if plan.emits or stage not in PUBLICATIONS]
            self._due[plan.id] = deque(
                Death(
                    stage=there[(seed - 1 + number) % len(there)],
                    left=dice.randint(1, LATEST) if number or seed > len(Stage) else 1,
                )
                for number in range(crashes if there else 0)
            )

    def strikes(self, stage: Stage, handler: str) -> bool:
        """Say whether the process that gets to *stage* with an event of *handler* dies there."""
        return self._arrived(handler, lambda death: death.stage is stage)

    def strikes_publication(self, stage: Stage) -> str:
        """Name the handler for which a process that publishes dies at *stage*, if it does."""
        return next((name for name in self._publishing if self.strikes(stage, name)), "")

    def strikes_settlement(self, handler: str, *, emitted: bool) -> bool:
        """Say whether it dies before an event of *handler* is settled, with something *emitted*."""
        return self._arrived(
            handler,
            lambda death: (
                death.stage is Stage.UNSETTLED
                or not (death.begun or (emitted and death.stage in PUBLICATIONS))
            ),
        )

    def _arrived(self, handler: str, there: Callable[[Death], bool]) -> bool:
        due = self._due.get(handler)
        if not due or not there(due[0]):
            return False
        due[0].begun = True
        due[0].left -= 1
        if due[0].left:
            return False
        due.popleft()
        return True

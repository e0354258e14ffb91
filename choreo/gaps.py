"""What a handler does about numbers that do not come: a pure policy, no clock and no waiting."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from choreo.declaration import require
from choreo.errors import ConfigurationError

LARGEST = 2**63 - 2
"""The largest number of an event, which has a next one; a larger one is quarantined (R7)."""

Policy = Literal["skip", "wait", "park", "resend", "ignore"]
Late = Literal["dead_letter", "handle", "drop"]


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """How the events of numbered streams are put in order, and what becomes of a gap.

    An event that comes too soon is held back until its predecessors have ended, and for *patience*
    at least. Then *policy* decides: ``skip`` gives the missing numbers up and goes on, ``wait``
    waits for ever, ``park`` too, in the store, until an operator lets the stream go on; ``resend``
    asks the source for them, three times, and then skips; ``ignore`` handles events as they come.

    What is held stays within *events* and *size* per stream. What is beyond waits in the store,
    where there is one for it (``park``, and brokers that do not remember what was settled).
    Otherwise ``skip`` does at once what it does after *patience*, and with the other policies the
    event is dead-lettered.
    """

    policy: Policy = "skip"
    patience: timedelta = timedelta(seconds=30)
    first: int | None = 1
    """The number with which a stream begins; None: the lowest that comes within *patience*."""
    late: Late = "dead_letter"
    """What becomes of an event whose number was given up before it came."""
    events: int = 1_000
    """Events of one stream held behind a gap."""
    size: int = 8 * 1024 * 1024
    """Bytes of payload of one stream held behind a gap."""
    max_jump: int = 1_000_000
    """An event further ahead of its stream than this is dead-lettered: its number is no number."""

    def __post_init__(self) -> None:
        require(self.patience, timedelta, f"Gaps(patience={self.patience!r}): give a timedelta")
        _one_of("policy", self.policy, get_args(Policy))
        _one_of("late", self.late, get_args(Late))
        if self.patience < timedelta(0):
            raise ConfigurationError(f"Gaps(patience={self.patience!r}): may not be negative")
        if self.first is not None:
            require(self.first, int, f"Gaps(first={self.first!r}): give a whole number or None")
            if not 0 <= self.first <= LARGEST:
                raise ConfigurationError(f"Gaps(first={self.first}): from 0 to 2**63-2")
        for name in ("events", "size", "max_jump"):
            given: object = getattr(self, name)
            if not isinstance(given, int) or given < 1:
                raise ConfigurationError(f"Gaps({name}={given!r}): give a whole number from 1")


def _one_of(name: str, given: object, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ConfigurationError(f"Gaps({name}={given!r}): one of {', '.join(known)}")


IN_ORDER = Gaps()
"""For handlers of events that declare ``sequence=`` and say nothing else."""

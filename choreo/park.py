"""When a parked event is tried again, and what becomes of it in the end: a pure policy."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Literal

from choreo.declaration import require
from choreo.errors import ConfigurationError

Then = Literal["hold", "skip", "dead_letter"]

LONGEST_EXPONENT = 1_000


@dataclass(frozen=True, kw_only=True)
class Park:
    """How a failed event, and behind it the later ones of its key, wait in the store.

    The n-th attempt from the store follows ``initial * multiplier**(n-1)`` after the failure before
    it, at most *maximum*, and never early. After *attempts* of them, ``then`` says what happens:
    ``hold`` keeps the key until an operator, or the service's next start, lets it go on; ``skip``
    dead-letters the event and goes on with the next; ``dead_letter`` dead-letters all that waits.
    """

    attempts: int = 10
    """Attempts from the store, after those of ``Retry``."""
    initial: timedelta = timedelta(seconds=5)
    multiplier: float = 2.0
    maximum: timedelta = timedelta(minutes=15)
    jitter: float = 0.1
    """Share of the delay that is added at random, from 0 to 1; nothing is ever taken off."""
    then: Then = "hold"

    def __post_init__(self) -> None:
        for name in ("initial", "maximum"):
            given: object = getattr(self, name)
            require(given, timedelta, f"Park({name}={given!r}): give a timedelta")
        attempts: object = self.attempts
        require(attempts, int, f"Park(attempts={attempts!r}): give a whole number")
        if self.attempts < 0:
            raise ConfigurationError(f"Park(attempts={self.attempts}): may not be negative")
        if self.multiplier < 1:
            raise ConfigurationError(f"Park(multiplier={self.multiplier}): delays may not shrink")
        if not 0 <= self.jitter <= 1:
            raise ConfigurationError(f"Park(jitter={self.jitter}): give a share from 0 to 1")
        if not timedelta(0) <= self.initial <= self.maximum:
            raise ConfigurationError("Park: initial may not be negative, nor longer than maximum")
        if self.then not in ("hold", "skip", "dead_letter"):
            raise ConfigurationError(f"Park(then={self.then!r}): hold, skip or dead_letter")

    def delay(self, attempt: int, random: Random) -> float:
        """Compute the seconds before attempt number *attempt* from the store; 1 is the first."""
        longest = self.maximum.total_seconds()
        growth = self.multiplier ** min(attempt - 1, LONGEST_EXPONENT) if attempt > 1 else 1.0
        return min(self.initial.total_seconds() * growth, longest) * (
            1 + self.jitter * random.random()
        )

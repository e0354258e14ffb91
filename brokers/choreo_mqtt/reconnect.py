"""How long to wait before connecting again."""

from random import Random

STEADY = 10.0
"""Seconds a connection must have lasted for the next failure to count as the first."""


class Backoff:
    """Exponential pauses with jitter, between half and all of the nominal one."""

    def __init__(self, *, first: float, longest: float, random: Random) -> None:
        self._first = first
        self._longest = longest
        self._random = random
        self._failures = 0

    def failed(self, *, lasted: float = 0.0) -> float:
        """Tell the seconds to wait after a connection that *lasted* so long, or none at all."""
        if lasted >= STEADY:
            self._failures = 0
        nominal = min(self._longest, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return nominal * self._random.uniform(0.5, 1.0)

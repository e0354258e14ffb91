"""How long to wait before connecting again, and when to suspect another client with our id."""

from collections import deque
from random import Random

MINUTE = 60.0
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


class Takeovers:
    """Counts how often another client took our session within a minute (M11)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] = deque()

    def happened(self, *, now: float) -> bool:
        """Note one; say whether there were more than the limit within a minute."""
        times = self._times
        times.append(now)
        while now - times[0] > MINUTE:
            times.popleft()
        return len(times) > self._limit

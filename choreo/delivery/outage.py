"""Outage is not poison: many keys that fail alike pause a handler instead of burying its events.

One event that fails is its own fault, and goes the way of its retries.  When several keys fail in
the same place with the same error, and little succeeds beside them, what they share is down: a
database, a partner, a network.  The handler then rests; one event at a time probes whether it is
back, at growing intervals, and no attempt is counted against any.

Theory of operation.  Nothing is noted while all is well.  From the first failure on, outcomes are
counted; an outage begins when *keys* lanes have failed alike and these failures are at least half
of what was tried.  A long run of successes forgets the failures.  The rule is pure: time is given
to it, and whoever asks does the waiting.
"""

from collections.abc import Hashable
from types import TracebackType

from choreo.errors import HandlerSignal
from choreo.retry import FATAL

SHARE = 0.5
"""Part of recent attempts that must fail alike."""
MEMORY = 50
"""Successes after which earlier failures count no more."""
FIRST = 1.0
"""Seconds from the beginning of an outage to the first probe."""
LONGEST = 60.0
"""Seconds between two probes, at most."""
FRESH = 5.0
"""Seconds between two probes with events that were never tried, at most: one that succeeds shows
that the others failed by themselves."""


class Outage:
    """Whether one handler's surroundings are down."""

    __slots__ = (
        "_alike", "_delay", "_failures", "_fresh", "_keys", "_limit", "_probe", "_probed",
        "_since", "_successes", "cause",
    )  # fmt: skip

    def __init__(self, keys: int, limit: float) -> None:
        """Take *keys* lanes that fail alike for an outage; 0 never does.

        After *limit* seconds without a success attempts count again: so long is nothing down.
        """
        self._keys = keys
        self._limit = limit
        self._since = 0.0
        self._fresh = 0.0
        self._alike: dict[Hashable, tuple[set[Hashable], list[int]]] = {}
        """The lanes that failed of each cause, and how many failures they had."""
        self._failures = 0
        self._successes = 0
        self._delay = FIRST
        self._probe = 0.0
        self._probed = False
        self.cause: Hashable = None
        """What all failures have in common; None while there is no outage."""

    @property
    def well(self) -> bool:
        """Say whether no failure is remembered, so that nothing need be asked or told."""
        return not self._failures

    def admits(self, now: float, *, fresh: bool) -> bool:
        """Say whether an attempt may be made; during an outage only as a probe.

        *fresh* says that the event was never tried.
        """
        if self.cause is None or self._over(now):
            return True
        if fresh and now >= self._fresh:
            self._fresh = now + min(self._delay, FRESH)
            return True
        if now < self._probe:
            return False
        self._probe = now + self._delay
        self._probed = True
        return True

    def rest(self, now: float) -> float:
        """Tell the seconds until the next probe."""
        return max(0.0, self._probe - now)

    def succeeded(self) -> bool:
        """Count a success; True if it ends an outage."""
        if not self._failures:
            return False
        if self.cause is not None:
            self._forget()
            return True
        self._successes += 1
        if self._successes > MEMORY:
            self._forget()
        return False

    def failed(self, lane: Hashable, cause: Hashable, now: float) -> bool:
        """Count a failure; True if an outage is to blame for it."""
        if not self._keys or cause is None:
            return False
        if self.cause is not None:
            if cause != self.cause or self._over(now):
                return False
            if self._probed:
                self._probed = False
                self._delay = min(2 * self._delay, LONGEST)
                self._probe = now + self._delay
            return True
        self._failures += 1
        lanes, count = self._alike.setdefault(cause, (set(), [0]))
        count[0] += 1
        if len(lanes) < self._keys:
            lanes.add(lane)
        tried = self._failures + self._successes
        if len(lanes) < self._keys or count[0] < SHARE * tried:
            return False
        self.cause = cause
        self._since = self._fresh = now
        self._probe = now + self._delay
        return True

    def _over(self, now: float) -> bool:
        return now >= self._since + self._limit

    def _forget(self) -> None:
        self._alike.clear()
        self._failures = self._successes = 0
        self._delay = FIRST
        self._probed = False
        self.cause = None


def cause_of(error: BaseException) -> Hashable:
    """Name what failures alike have in common: the error's class, and the line that raised it.

    None for what says something of its event alone: it is refused, unreadable, or to come later.
    """
    if isinstance(error, (HandlerSignal, *FATAL)):
        return None
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return (type(error), None, 0)
    return (type(error), last.tb_frame.f_code.co_filename, last.tb_lineno)

"""When to ping, and when to give a silent connection up."""

from enum import Enum


class Beat(Enum):
    """What is to be done now."""

    NOTHING = "nothing"
    PING = "ping"
    DEAD = "dead"


class Heartbeat:
    """Decides from what was heard and how long ago; asked at every tick, in monotonic seconds.

    Waiting is counted in ticks, none longer than *longest_tick*: when the loop was blocked, the
    answer may lie unread in the socket, and the connection must not be given up for our own sleep
    (M19). While nothing is read, pings go on for the broker's sake and silence says nothing.
    """

    def __init__(self, *, interval: float, timeout: float, longest_tick: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._longest_tick = longest_tick
        self._ticked = now
        self._pinged = now
        self._heard = -1
        self._waited: float | None = None
        self.quiet = 0.0
        """Seconds for which nothing has come."""

    @property
    def unanswered(self) -> float:
        """Seconds for which a ping waits and nothing has come; 0 for none."""
        return self._waited or 0.0

    def tick(self, *, now: float, heard: int, paused: bool) -> Beat:
        """Decide; *heard* is a count that grows with whatever comes in."""
        passed = min(now - self._ticked, self._longest_tick)
        self._ticked = now
        self.quiet = 0.0 if heard != self._heard else self.quiet + passed
        if heard != self._heard or paused:
            self._heard = heard
            self._waited = None
        elif self._waited is not None:
            self._waited += passed
            if self._waited > self._timeout:
                return Beat.DEAD
        if now - self._pinged >= self._interval:
            self._pinged = now
            if self._waited is None and not paused:
                self._waited = 0.0
            return Beat.PING
        return Beat.NOTHING

"""When a lost connection was taken over by another client with our id (M11).

Some brokers say so in their DISCONNECT; Mosquitto 2.0.11 hangs up in good order without a word,
which a broker that stops, or a proxy, does too.  Then it is a takeover if our session is still
there when we are back, and another connection of ours to the same broker has stayed up all the
time.
"""

from collections import deque
from enum import Enum

LIMIT = 3
"""Takeovers within a minute that may still be a restart; more are two clients with one id."""
MINUTE = 60.0


class Verdict(Enum):
    """What the loss of the connection before this one was."""

    NONE = "none"
    TAKEOVER = "takeover"
    WAR = "war"
    """More than LIMIT within a minute: it will not end by itself."""


class Takeovers:
    """Judges each loss once we are connected again.

    *elsewhere* is the number of another connection to the same broker, None while it is down.
    """

    def __init__(self) -> None:
        self._certain = False
        self._suspected: int | None = None
        self._times: deque[float] = deque()

    def closed(self, *, certain: bool, silent: bool, elsewhere: int | None) -> None:
        """Note how our connection ended."""
        self._certain = certain
        self._suspected = elsewhere if silent else None

    def judge(self, *, session_present: bool, elsewhere: int | None, now: float) -> Verdict:
        """Say what it was, *now* in monotonic seconds."""
        suspected = self._suspected is not None and self._suspected == elsewhere and session_present
        if not (self._certain or suspected):
            return Verdict.NONE
        self._certain, self._suspected = False, None
        times = self._times
        times.append(now)
        while now - times[0] > MINUTE:
            times.popleft()
        return Verdict.WAR if len(times) > LIMIT else Verdict.TAKEOVER

"""When a lost connection was taken over by another client with our id (M11).

Some brokers say so in their DISCONNECT; Mosquitto 2.0.11 hangs up in good order without a word,
which a broker that stops, or a proxy, does too.  Then it is a takeover if our session is still
there when we are back, and another connection of ours to the same broker has stayed up all the
time.

Each of two clients with one id throws the other out by coming back.  Who has been thrown out too
often must therefore give up before it comes back: the other, which came later, then stays.
"""

from collections import deque

LIMIT = 3
"""Takeovers within a minute that may still be a restart; more are two clients with one id."""
MINUTE = 60.0


class Takeovers:
    """Judges each loss of a connection, at once and when we are connected again.

    *elsewhere* is the number of another connection to the same broker, None while it is down, and
    *now* is in monotonic seconds.
    """

    def __init__(self) -> None:
        self._certain = False
        self._suspected: int | None = None
        self._times: deque[float] = deque()

    def closed(self, *, certain: bool, silent: bool, elsewhere: int | None, now: float) -> bool:
        """Note how our connection ended; True if it was once too often to come back."""
        self._certain = certain
        self._suspected = elsewhere if silent else None
        self._forget(now)
        return len(self._times) >= LIMIT and (certain or self._suspected is not None)

    def judge(self, *, session_present: bool, elsewhere: int | None, now: float) -> bool:
        """Tell whether it was a takeover, now that we are back."""
        suspected = self._suspected is not None and self._suspected == elsewhere and session_present
        if not (self._certain or suspected):
            return False
        self._certain, self._suspected = False, None
        self._times.append(now)
        return True

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] > MINUTE:
            self._times.popleft()

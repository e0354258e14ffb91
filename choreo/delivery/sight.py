"""How long a service has looked at what its broker has for it: the time that patience counts.

Theory of operation.  A number that is missing may lie at the broker, unread: while a batch waits
for the store to be taken in, while there is no room for another, while the process stands still.
So patience does not count the time of the machine.  A batch that takes long, and a process that
stood still, count not at all, and as long again nothing is given up afterwards: whoever reads as
fast as events come has read by then what came meanwhile.  Want of room counts a tenth, so that a
service that always lags behind still decides some time.  And nothing is given up before one look
more is through: what came is taken in, or nothing has come for longer than a broker takes to hand
over what it has.

Nothing here knows time or does I/O.
"""

from enum import Enum
from math import inf

SHORT = 0.5
"""Seconds for which a service may look away as if it had not, and after which a look is through
that has found nothing."""
START = 30.0
"""Seconds after a start before which nothing is given up that was left by an earlier process."""
SLOWLY = 0.1
"""What want of room counts."""


class State(Enum):
    """What a service is at."""

    LOOKING = "looking"
    """It waits for its broker, and takes at once what comes."""
    TAKING = "taking"
    """A batch is on its way in, or nothing is read any more."""
    FULL = "full"
    """It has no room, or has not begun."""


class Sight:
    """What one service sees; all times are monotonic, but those that are *seen*."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.state = State.FULL
        self.look = 0
        """The number of looks begun."""
        self._since = now
        self._lost = 0.0
        self._clear = -inf

    def looks(self, now: float) -> None:
        """Look once more."""
        self._enter(State.LOOKING, now)
        self.look += 1

    def takes(self, now: float) -> None:
        """Take in what was there, or stop."""
        self._enter(State.TAKING, now)

    def asks(self, now: float) -> None:
        """Have taken it in, and wait for room."""
        self._enter(State.FULL, now)

    def stood(self, seconds: float, now: float) -> None:
        """Find that the process stood still for so long."""
        if self.state is State.LOOKING and seconds >= SHORT:
            self._lose(seconds, now)

    def seen(self, now: float) -> float:
        """Tell what of the time until *now* counts."""
        return now - self._lost - self._losing(now)

    def moment(self, seen: float) -> float:
        """Tell when, at the earliest, so much will have been seen, and may be decided by."""
        return max(seen + self._lost, self._clear)

    def rest(self, now: float) -> float:
        """Tell for how many seconds nothing may be given up."""
        return max(0.0, self._clear - now)

    @property
    def next_look(self) -> int:
        """The look that shows what is at the broker by now."""
        return self.look if self.state is State.LOOKING else self.look + 1

    def through(self, look: int, now: float) -> bool:
        """Say whether what a look found is taken in, or it shows that there is nothing."""
        if self.look != look or self.state is State.FULL:
            return self.look >= look
        return self.state is State.LOOKING and now - self._since >= SHORT

    def _enter(self, state: State, now: float) -> None:
        lost = self._losing(now)
        if self.state is State.TAKING and lost:
            self._lose(lost, now)
        else:
            self._lost += lost
        self.state, self._since = state, now

    def _losing(self, now: float) -> float:
        gone = now - self._since
        if gone < SHORT or self.state is State.LOOKING:
            return 0.0
        return gone if self.state is State.TAKING else (1 - SLOWLY) * gone

    def _lose(self, seconds: float, now: float) -> None:
        self._lost += seconds
        self._clear = max(self._clear, now + seconds)

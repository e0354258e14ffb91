"""How long a service has looked at what its broker has for it: the time that patience counts.

Theory of operation.  A number that is missing may lie at the broker, unread: while a batch waits
for the store to be taken in, while there is no room for another, while the process stands still.
So patience does not count the time of the machine.  A batch that takes long, and a process that
stood still, count not at all, and as long again nothing is given up afterwards: whoever reads as
fast as events come has read by then what came meanwhile.  Want of room counts a tenth, so that a
service that always lags behind still decides some time.  And nothing is given up before one look
more is through: what came is taken in, or nothing has come for longer than a broker takes to hand
over what it has.

While the broker is out of reach nothing counts, whatever the service is at: what is missing may lie
there, or with those who cannot hand it in.  Once it is found again, nothing is given up for as long
again as it was away, but no longer than those need who have lost it, too, and try again; and not
before it has been seen to have nothing more, which one that always has more is given as much time
for as it was away.

Nothing here knows time or does I/O.
"""

from enum import Enum
from math import inf

SHORT = 0.5
"""Seconds for which a service may look away as if it had not, and after which a look is through
that has found nothing."""
START = 30.0
"""Seconds after a start before which nothing is given up that was left by an earlier process, and
after an outage, for what others could not hand in: as long as they pause between two attempts."""
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
        self._blind: float | None = None
        """Since when the broker is out of reach."""
        self._found = self._behind = -inf
        """When it was found again, and until when it may have something from before."""

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
        if self.state is State.LOOKING and seconds >= SHORT and self._blind is None:
            self._lose(seconds, now)

    def lost(self, now: float, unheard: float) -> None:
        """Hear that the broker is out of reach, and has said nothing for *unheard* seconds."""
        if self._blind is None:
            self._enter(self.state, now)
            self._blind = now - unheard

    def found(self, now: float) -> None:
        """Hear that the broker is within reach again."""
        if self._blind is None:
            return
        gone = now - self._blind
        self._blind = None
        self._lost += gone
        self._clear = max(self._clear, now + min(gone, START))
        self._since = self._found = now
        self._behind = now + max(gone, SHORT)

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
        if self.away(now) is not None:
            return False
        if self.look != look or self.state is State.FULL:
            return self.look >= look
        return self.state is State.LOOKING and now - self._since >= SHORT

    def away(self, now: float) -> float | None:
        """Tell how long the broker is out of reach, or, within reach again, is being caught up."""
        if self._blind is not None:
            return now - self._blind
        return now - self._found if now < self._behind and not self._idle(now) else None

    def _idle(self, now: float) -> bool:
        return self.state is State.LOOKING and now - self._since >= SHORT

    def _enter(self, state: State, now: float) -> None:
        if self._blind is None:
            lost = self._losing(now)
            if self.state is State.TAKING and lost:
                self._lose(lost, now)
            else:
                self._lost += lost
            if self._idle(now):
                self._behind = -inf
        self.state, self._since = state, now

    def _losing(self, now: float) -> float:
        if self._blind is not None:
            return now - self._blind
        gone = now - self._since
        if gone < SHORT or self.state is State.LOOKING:
            return 0.0
        return gone if self.state is State.TAKING else (1 - SLOWLY) * gone

    def _lose(self, seconds: float, now: float) -> None:
        self._lost += seconds
        self._clear = max(self._clear, now + seconds)

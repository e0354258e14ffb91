"""What one worker sees of its broker, and when gaps before lines in the store may be given up.

The rim around ``Sight``: reads the clock, and has those wait who may not decide before one more
look is through.
"""

import asyncio

from choreo.broker import Notice
from choreo.clock import Clock
from choreo.delivery.sight import START, Sight

SLACK = 1e-6
"""Seconds that are none: moments are sums, and a timer for what is left by rounding would spin."""
GLANCE = 0.25
"""Seconds after which a line is looked at again that may be given up after one more look."""


class Lookout:
    """Hears from a worker what it is at, and tells what of its time counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[bytes, float] = {}
        self._awaited: dict[bytes, int] = {}
        self._moved = asyncio.Event()
        self.sight = Sight(clock.monotonic())

    # -- what the worker tells ----------------------------------------------------------------

    def looks(self) -> None:
        """Look for what comes."""
        self.sight.looks(self._clock.monotonic())
        self._tell()

    def takes(self) -> None:
        """Take in what came, or nothing any more."""
        self.sight.takes(self._clock.monotonic())

    def asks(self) -> None:
        """Have taken it in, and wait for room."""
        self.sight.asks(self._clock.monotonic())
        self._tell()

    def notice(self, notice: Notice) -> None:
        """Hear whether the broker is within reach."""
        if notice.kind == "connection_lost":
            self.sight.lost(self._clock.monotonic(), notice.unheard)
        elif notice.kind == "reconnected":
            self.sight.found(self._clock.monotonic())

    # -- what those ask who decide --------------------------------------------------------------

    @property
    def now(self) -> float:
        """Tell how much was seen: the time that patience is counted in."""
        return self.sight.seen(self._clock.monotonic())

    async def look(self) -> None:
        """Return once it is known what was at the broker, if one look could take it in."""
        look = self.sight.next_look
        while not self.sight.through(look, self._clock.monotonic()):
            timer = self._clock.call_later(GLANCE, self._tell)
            try:
                await self._moved.wait()
            finally:
                timer.cancel()

    def begins(self, line: bytes, seconds: float) -> None:
        """Hear how much patience there is with the gap before a line in the store."""
        self._awaited.pop(line, None)
        self._lines[line] = self.now + seconds

    def rest(self, line: bytes, patience: float) -> float:
        """Tell the seconds before which the gap before a line is not to be given up.

        For a line that was found in the store *patience* has gone on until this worker began.
        """
        now = self._clock.monotonic()
        due = self._lines.get(line, self.sight.began + min(patience, START))
        rest = self.sight.moment(due) - now
        if rest > SLACK:
            return rest
        look = self._awaited.setdefault(line, self.sight.next_look)
        if self.sight.through(look, now):
            return 0.0
        # Each look at a line is a write, and an outage may last.
        return max(GLANCE, min(self.sight.away(now) or 0.0, START))

    def forget(self, line: bytes) -> None:
        """Hear that a line is gone, or waits for something else."""
        self._lines.pop(line, None)
        self._awaited.pop(line, None)

    def _tell(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

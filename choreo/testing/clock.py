"""Time that stands still until a test moves it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count

from choreo.clock import Clock, Timer

START = datetime(2000, 1, 1, tzinfo=UTC)
TURNS = 10_000
"""Turns of the loop after which tasks that never come to rest are no longer waited for."""


class ManualTimer:
    """A callback that is due at one moment of a ManualClock."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Make sure that it never runs; harmless once it has."""
        self.callback = None


class ManualClock:
    """A clock for tests: nothing on it waits, everything on it happens in order of its moment.

    Callbacks due at one moment run in the order in which they were set.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = count()
        self._due: list[tuple[float, int, ManualTimer]] = []

    def now(self) -> datetime:
        """Tell the wall time, aware, in UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Tell the seconds since this clock was made."""
        return self._elapsed

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> Timer:
        """Run *callback* once the clock has been moved on by *seconds*."""
        timer = ManualTimer(callback)
        heappush(self._due, (self._elapsed + max(seconds, 0.0), next(self._order), timer))
        return timer

    async def sleep(self, seconds: float, /) -> None:
        """Return once the clock has been moved on by *seconds*; at once, but for a turn, if 0."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if awake.done() else awake.set_result(None))
        try:
            await awake
        finally:
            timer.cancel()

    @property
    def next_due(self) -> float | None:
        """Seconds until the next timer or sleeper is due; None if there is none."""
        self._forget_cancelled()
        return self._due[0][0] - self._elapsed if self._due else None

    async def advance(self, seconds: float) -> None:
        """Move time on, stopping wherever something is due until all has come to rest.

        What a woken task sets up is part of it: a loop that sleeps a second runs ten times in
        ``advance(10)``.
        """
        if seconds < 0:
            raise ValueError(f"advance({seconds}): time does not go back")
        target = self._elapsed + seconds
        await rest()
        while self.step(target):
            await rest()
        self._elapsed = max(self._elapsed, target)

    def step(self, target: float = float("inf")) -> bool:
        """Move to the next moment at which something is due, if by *target*, and run that.

        Tasks that it wakes run when the caller lets the loop turn. *target* is on ``monotonic()``.
        Returns False, and changes nothing, if nothing is due by then.
        """
        self._forget_cancelled()
        if not self._due or self._due[0][0] > target:
            return False
        self._elapsed = self._due[0][0]
        while self._due and self._due[0][0] <= self._elapsed:
            _, _, timer = heappop(self._due)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        return True

    def _forget_cancelled(self) -> None:
        while self._due and self._due[0][2].callback is None:
            heappop(self._due)


async def rest() -> None:
    """Let every task run that can, until the rest waits for time or for the outside world."""
    # asyncio's own loops keep what is to run in _ready; on others every turn there is, is taken.
    ready: object = getattr(asyncio.get_running_loop(), "_ready", True)
    for _ in range(TURNS):
        await asyncio.sleep(0)
        if not ready:
            return


_: type[Clock] = ManualClock

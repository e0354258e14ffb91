"""A wall clock that jumps, for services that run in a test's own process."""

from collections.abc import Callable
from datetime import datetime, timedelta

from choreo.clock import Clock, SystemClock, Timer


class JumpingClock:
    """The system's time, but for a wall clock that is as wrong as it is told to be.

    Time that passes is that of the system: a wall clock that is set does not change it.
    """

    def __init__(self) -> None:
        self._real = SystemClock()
        self.error = timedelta(0)
        """By how much the wall clock is ahead."""

    def now(self) -> datetime:
        """Tell the wrong wall time."""
        return self._real.now() + self.error

    def monotonic(self) -> float:
        """Tell the time that has passed."""
        return self._real.monotonic()

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> Timer:
        """Run *callback* once so much time has passed."""
        return self._real.call_later(seconds, callback)

    async def sleep(self, seconds: float, /) -> None:
        """Return once so much time has passed."""
        await self._real.sleep(seconds)


class Jump:
    """A wall clock is off by *by* for a while, forwards or backwards."""

    def __init__(self, clock: JumpingClock, by: timedelta) -> None:
        self.name = f"clock off by {by}"
        self._clock = clock
        self._by = by
        self._told: tuple[datetime, datetime] | None = None

    async def begin(self) -> None:
        """Set it."""
        before = self._clock.now()
        self._clock.error += self._by
        self._told = (before, self._clock.now())

    async def end(self) -> str:
        """Set it right."""
        self._clock.error -= self._by
        if self._told is None:
            return ""
        before, after = self._told
        bit = abs((after - before) - self._by) < abs(self._by) / 2
        return f"{before.isoformat()} was followed by {after.isoformat()}" if bit else ""


_: type[Clock] = JumpingClock

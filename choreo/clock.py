"""Time as a port: nothing in choreo reads a clock or sleeps except through this."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A callback that has not run yet."""

    def cancel(self) -> None:
        """Make sure that it never runs; harmless once it has."""
        ...


class Clock(Protocol):
    """Wall time for people and the wire, monotonic time for durations."""

    def now(self) -> datetime:
        """Tell the wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Tell seconds since some fixed moment; never goes back."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> Timer:
        """Run *callback* once, *seconds* from now, on the running loop."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Return *seconds* from now."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Tell the wall time, aware, in UTC."""
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)
    """Tell seconds since some fixed moment; never goes back."""

    def call_later(self, seconds: float, callback: Callable[[], None], /) -> Timer:
        """Run *callback* once, *seconds* from now, on the running loop."""
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def sleep(self, seconds: float, /) -> None:
        """Return *seconds* from now."""
        await asyncio.sleep(seconds)


_: type[Clock] = SystemClock

"""How much may be asked of the broker now: as much as can run soon, within every bound."""

import asyncio
from collections import deque

from choreo.clock import Clock
from choreo.delivery.custody import Custody
from choreo.delivery.job import Job
from choreo.delivery.limits import Limits
from choreo.delivery.slots import Slots

POLL = 256
"""Deliveries asked for at once: small batches with a drain after each are the cheapest."""


class Demand:
    """Counts what is runnable against ``prefetch``, and what is held against the other bounds."""

    def __init__(
        self, limits: Limits, custody: Custody, ready: deque[Job], slots: Slots, clock: Clock
    ) -> None:
        self._prefetch = limits.prefetch
        self._custody = custody
        self._ready = ready
        self._slots = slots
        self._clock = clock
        self._waiter: asyncio.Future[None] | None = None
        self._stopped = False

    @property
    def capacity(self) -> int:
        """Count the deliveries that may be asked for now."""
        runnable = len(self._ready) + self._slots.busy
        return min(self._prefetch - runnable, self._custody.room)

    async def ask(self) -> int:
        """Wait for room, and say how many deliveries to ask for; 0 once it is stopped."""
        while (capacity := self.capacity) <= 0 and not self._stopped:
            self._waiter = asyncio.get_running_loop().create_future()
            self._slots.short = True
            await self._waiter
        return 0 if self._stopped else min(POLL, capacity)

    @property
    def stopped(self) -> bool:
        """Say whether nothing more is asked for."""
        return self._stopped

    async def rest(self, seconds: float) -> bool:
        """Return after *seconds*, or at once when stopped; say whether to go on."""
        if not self._stopped:
            self._waiter = waiter = asyncio.get_running_loop().create_future()
            self._slots.short = True
            timer = self._clock.call_later(seconds, lambda: _end(waiter))
            try:
                await waiter
            finally:
                timer.cancel()
        return not self._stopped

    def freed(self) -> None:
        """Ask again once enough room has come about, or nothing else is left to do."""
        if self._waiter is None or self._waiter.done():
            self._slots.short = False
            return
        capacity = self.capacity
        if capacity >= self._prefetch // 2 or (capacity > 0 and not self._ready):
            self._waiter.set_result(None)

    def stop(self) -> None:
        """Ask for nothing any more, whatever is freed."""
        self._stopped = True
        if self._waiter is not None:
            _end(self._waiter)


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

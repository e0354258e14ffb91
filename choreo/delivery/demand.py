"""How much may be asked of the broker now: as much as can run soon, within every bound."""

import asyncio
from collections import deque

from choreo.delivery.custody import Custody
from choreo.delivery.job import Job
from choreo.delivery.limits import Limits
from choreo.delivery.slots import Slots

POLL = 256
"""Deliveries asked for at once: small batches with a drain after each are the cheapest."""


class Demand:
    """Counts what is runnable against ``prefetch``, and what is held against the other bounds."""

    def __init__(self, limits: Limits, custody: Custody, ready: deque[Job], slots: Slots) -> None:
        self._prefetch = limits.prefetch
        self._custody = custody
        self._ready = ready
        self._slots = slots
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
            await self._waiter
        return 0 if self._stopped else min(POLL, capacity)

    def freed(self) -> None:
        """Ask again once enough room has come about, or nothing else is left to do."""
        if self._waiter is None or self._waiter.done():
            return
        capacity = self.capacity
        if capacity >= self._prefetch // 2 or (capacity > 0 and not self._ready):
            self._waiter.set_result(None)

    def stop(self) -> None:
        """Ask for nothing any more, whatever is freed."""
        self._stopped = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

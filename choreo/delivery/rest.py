"""How long a relay rests between two turns, so that what is committed meanwhile shares the next.

A turn costs the store a query and a transaction however few rows there are.  A relay that is told
of every commit would take one for a handful each; so while rows keep coming it rests for some times
as long as the store was at its last turn.  What comes after a silence goes out at once, and so does
what somebody waits for, or what is known to lie there still.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from choreo.clock import Clock
from choreo.store.outbox import Row
from choreo.store.shards import PER_SHARD, SHARDS

T = TypeVar("T")

TIMES = 3
"""How many times as long as the store was at a turn, its relay rests."""
LONGEST = 0.05
"""Seconds that it rests at most."""


class Rest:
    """The rests of one relay."""

    def __init__(self, clock: Clock, batch: int) -> None:
        self._clock = clock
        self._full = max(batch // SHARDS, PER_SHARD)
        self._spent = 0.0
        self._over = asyncio.Event()

    def end(self) -> None:
        """Have the one that is being taken, or else the next, end at once."""
        self._over.set()

    async def timed(self, work: Awaitable[T]) -> T:
        """Await what the store does in a turn."""
        began = self._clock.monotonic()
        done = await work
        self._spent += self._clock.monotonic() - began
        return done

    async def take(self, rows: Sequence[Row]) -> None:
        """Rest after a turn that has read *rows*, unless there may be more where they lay."""
        spent, self._spent = self._spent, 0.0
        most = max(Counter(row.shard for row in rows).values(), default=0)
        if not spent or most >= self._full or self._over.is_set():
            await asyncio.sleep(0)
        else:
            await pause(self._clock, self._over, min(TIMES * spent, LONGEST))
        self._over.clear()


async def pause(clock: Clock, event: asyncio.Event, seconds: float) -> None:
    """Wait for *event*, or so long."""
    over = asyncio.Event()
    timer = clock.call_later(seconds, over.set)
    waiting = [asyncio.ensure_future(one.wait()) for one in (event, over)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        for one in waiting:
            one.cancel()

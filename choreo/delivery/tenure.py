"""How long a relay may publish: its leases on shards, and when it must stand back.

The store's leases end by the database's clock.  A tenure counts its own from before it asked, on a
clock that does not stop with the process or the machine, and ends them a margin earlier: whoever
was paused sees that its lease has ended before it hands over anything more (O4).  A lease that
ended, or a shard that was lost, ends that *life*; the next one has another name, so that nothing
the old one left under way can be taken for the new one's.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from choreo.clock import SystemClock
from choreo.environment import Environment
from choreo.errors import StoreError
from choreo.store.outbox import Outbox

logger = logging.getLogger(__name__)

MARGIN = 1 / 5
"""Share of a lease before its end in which nothing more is handed over."""
RENEWALS = 3
"""How often a lease is renewed within its duration."""
RETRIES = 15
"""How often within its duration that is tried again when it failed."""


@dataclass(slots=True, eq=False)
class Life:
    """What one name holds."""

    holder: str
    until: float = 0.0
    """When the leases end, on the tenure's own clock."""
    shards: frozenset[int] = frozenset()
    surplus: frozenset[int] = frozenset()
    """Those of them to be given back once nothing of them is on its way."""
    ended: bool = False


def boottime() -> float:
    """Tell seconds on a clock that runs on while the process is stopped or the machine sleeps."""
    # Where it is missing (macOS) the monotonic clock counts sleep.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Tenure:
    """One relay's hold on its shards."""

    def __init__(
        self,
        outbox: Outbox,
        environment: Environment,
        lease: timedelta,
        changed: Callable[[], None],
        elapsed: Callable[[], float] | None = None,
    ) -> None:
        self._outbox = outbox
        self._environment = environment
        self._lease = lease
        self._seconds = lease.total_seconds()
        self._changed = changed
        real = isinstance(environment.clock, SystemClock)
        # On a clock of a test's own there is no other time.
        self._elapsed = elapsed or (boottime if real else environment.clock.monotonic)
        self._sending: asyncio.Timeout | None = None
        # Shards are taken by one task and given back by another: one at a time.
        self._books = asyncio.Lock()
        self.life = Life(environment.ids.new())
        self._answered: Life | None = None
        self.relays = 0
        """Relays of the service that were alive when it last looked."""
        self.fenced = 0
        """Lives that were ended by others, or by time."""

    def left(self, life: Life) -> float:
        """Tell for how many seconds *life* may go on publishing; nothing or less if it may not."""
        if life.ended or not life.shards:
            return 0.0
        return life.until - self._seconds * MARGIN - self._elapsed()

    @property
    def known(self) -> bool:
        """Say whether it is known which shards are held now: not before the store has told."""
        life = self.life
        return (
            self._answered is life and not life.ended and (not life.shards or self.left(life) > 0)
        )

    @asynccontextmanager
    async def sending(self, life: Life) -> AsyncGenerator[None]:
        """Bound what is done inside by the lease, however often that is renewed meanwhile.

        Raises TimeoutError when the lease lapses.
        """
        try:
            async with asyncio.timeout(max(0.0, self.left(life))) as self._sending:
                yield
        finally:
            self._sending = None

    async def keep(self) -> None:
        """Hold leases until cancelled."""
        while True:
            pause = self._seconds / RENEWALS
            try:
                async with asyncio.timeout(self._seconds):
                    await self._renew()
            except (StoreError, TimeoutError) as error:
                pause = self._seconds / RETRIES
                names = {"error": repr(error)}
                logger.warning("the outbox's lease could not be renewed", extra=names)
            except Exception:
                # The boundary of the lease's task: without it nothing would ever be published.
                pause = self._seconds / RETRIES
                logger.exception("renewing the outbox's lease failed by our own fault")
            await self._environment.clock.sleep(pause)

    def end(self, life: Life, why: str, shards: Collection[int]) -> None:
        """Have *life* publish and write nothing more."""
        if not life.ended:
            life.ended = True
            self.fenced += 1
            names = {"reason": why, "shards": sorted(shards)}
            logger.warning("the relay stands back", extra=names)

    async def give_back(self) -> None:
        """Release what is due to others; only while nothing of it is on its way."""
        if not self.life.surplus:
            return
        async with self._books:
            life = self.life
            surplus, life.surplus = life.surplus, frozenset()
            life.shards -= surplus
            if surplus and not life.ended:
                await self._outbox.release(life.holder, surplus)

    async def leave(self, budget: timedelta) -> None:
        """Give everything back; what cannot be waits until its lease ends."""
        self.life.ended = True
        try:
            async with asyncio.timeout(budget.total_seconds()):
                await self._outbox.leave(self.life.holder)
        except (StoreError, TimeoutError) as error:
            names = {"error": repr(error)}
            logger.warning("the outbox's shards wait until their lease ends", extra=names)

    async def _renew(self) -> None:
        async with self._books:
            life = await self._living()
            began = self._elapsed()
            share = await self._outbox.keep(life.holder, self._lease)
            held = frozenset(share.held)
            if lost := life.shards - held:
                self.end(life, "shards were taken over before their lease was renewed", lost)
                life = await self._living()
                began = self._elapsed()
                share = await self._outbox.keep(life.holder, self._lease)
                held = frozenset(share.held)
            gained = held - life.shards
            life.shards, life.surplus = held, share.surplus
            life.until = began + self._seconds
            self.relays = share.relays
            news = gained or share.surplus or self._answered is not life
            self._answered = life
        if self._sending is not None and not self._sending.expired():
            now = asyncio.get_running_loop().time()
            self._sending.reschedule(now + max(0.0, self.left(life)))
        if news:
            self._changed()

    async def _living(self) -> Life:
        """Return the life to go on with, a new one if the last has ended."""
        life = self.life
        if life.shards and self.left(life) <= 0:
            self.end(life, "the lease had ended when it was to be renewed", life.shards)
        if life.ended:
            await self._outbox.leave(life.holder)
            self.life = life = Life(self._environment.ids.new())
        return life

"""Leases of one service: taken before a handler runs, renewed while it does.

A handler with effects outside the store claims its event for a while, so that no other process runs
it at the same time (I4).  A lease that could not be renewed in time may be another's by now; what
is written under it is then refused by its fence (I5), whatever this process believes.
"""

import logging
from datetime import timedelta
from typing import Any

from choreo.clock import Clock
from choreo.errors import StoreError
from choreo.store.port import Claim, Lease, Ledger, Verdict

logger = logging.getLogger(__name__)

RENEWALS = 3
"""Renewals that may fail before a lease runs out."""


class Leases:
    """What this process holds of one service."""

    def __init__(self, ledger: Ledger[Any], owner: str, clock: Clock) -> None:
        """Hold leases as *owner*, a name that no other process has."""
        self._ledger = ledger
        self._owner = owner
        self._clock = clock
        self._held: dict[Lease, timedelta] = {}

    async def take(self, claim: Claim, duration: timedelta) -> Lease | Verdict:
        """Claim for *duration*, to be renewed until it is forgotten; or say why not."""
        lease = await self._ledger.lease(claim, self._owner, duration)
        if isinstance(lease, Lease):
            self._held[lease] = duration
        return lease

    async def give_back(self, lease: Lease) -> None:
        """Let others have it at once."""
        self.forget(lease)
        await self._ledger.release(lease)

    def forget(self, lease: Lease | None) -> None:
        """Renew it no more."""
        if lease is not None:
            self._held.pop(lease, None)

    async def run(self, shortest: timedelta) -> None:
        """Renew all that is held, often enough for leases of at least *shortest*, for ever."""
        while True:
            await self._clock.sleep(shortest.total_seconds() / RENEWALS)
            for duration in sorted(set(self._held.values())):
                await self._renew(duration)

    async def _renew(self, duration: timedelta) -> None:
        leases = [lease for lease, length in self._held.items() if length == duration]
        try:
            kept = await self._ledger.renew(leases, duration)
        except StoreError as error:
            logger.warning("leases could not be renewed", extra={"error": str(error)})
            return
        for lease, mine in zip(leases, kept, strict=True):
            if not mine and lease in self._held:
                self.forget(lease)
                logger.warning("a lease ran out while its handler was running")

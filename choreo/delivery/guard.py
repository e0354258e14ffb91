"""The flight log of one process: what it is at, in one row a batch, before it is touched (D7)."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from math import inf

from choreo.broker import Notice
from choreo.clock import Clock
from choreo.delivery.job import Job, Outcome, Received
from choreo.delivery.journal import Journal
from choreo.delivery.quarantine import Gate, Party, Suspects, fingerprint, gone
from choreo.errors import CrashSuspect, StoreError
from choreo.message import Delivery, Message
from choreo.store.flights import Flights, Incarnation

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=15)
"""How long nobody takes a process for dead that does not say anything."""
LATE = LEASE / 2
"""Who has not said so itself for this long judges nobody: the store may have been away for all."""
PARTY = 32
"""Suspects that run beside each other after a first crash: as many as one more crash leaves."""


class Guard:
    """Keeps the flight log, and suspects apart; as a journal it hears what has ended."""

    def __init__(self, flights: Flights, own: Incarnation, limit: int, clock: Clock) -> None:
        self._flights = flights
        self._own = own
        self._clock = clock
        self._suspects = Suspects(limit)
        self._gate = Gate()
        self._flight = 0
        self._aboard: dict[int, int] = {}
        self._landed: set[int] = set()
        self._party = Party(PARTY)
        """Takes in the next suspects that need not be alone."""
        self._acquitted: set[bytes] = set()
        self._kept = self._judges = -inf
        """Monotonic times at which we last said that we are alive, and from which we judge others.
        """

    @asynccontextmanager
    async def keeping(self) -> AsyncGenerator[None]:
        """Find out who died of what, and say that this process is alive, meanwhile."""
        await self._look()
        task = asyncio.get_running_loop().create_task(self._keep(), name="choreo flights")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            try:
                await self._flights.acquit(sorted(self._acquitted))
                await self._flights.leave(self._own)
            except StoreError as error:
                logger.warning("the flight log stays open", extra={"error": str(error)})

    # -- taking in ----------------------------------------------------------------------------

    def condemned(self, delivery: Delivery) -> CrashSuspect | None:
        """Say why *delivery* is to be buried unread, if it is."""
        if not self._suspects:
            return None
        crashes = self._suspects.condemned(fingerprint(delivery))
        if not crashes:
            return None
        return CrashSuspect(f"{crashes} processes died when they handled it")

    async def depart(self, batch: Sequence[Received]) -> None:
        """Write down what is about to be touched; suspects wait for a flight of their own."""
        events: list[bytes] = []
        aboard: list[Received] = []
        for received in batch:
            event = fingerprint(received.delivery)
            if self._suspects.suspected(event):
                received.suspect = event
                received.party = self._party_for(event)
            else:
                aboard.append(received)
                events.append(event)
        if not events:
            return
        flight = await self._departed(events)
        self._aboard[flight] = len(aboard)
        for received in aboard:
            received.flight = flight
        await self._acquit()

    def _party_for(self, event: bytes) -> Party:
        if self._suspects.alone(event):
            party = Party(1)
        else:
            if self._party.full:
                self._party = Party(PARTY)
            party = self._party
        party.join(event)
        return party

    # -- running ------------------------------------------------------------------------------

    def guards(self, job: Job) -> bool:
        """Say whether the job must be let in and out: only while anything is suspect."""
        rare = job.received.rare is not None
        return bool(self._suspects) or (rare and job.received.suspect is not None)

    async def enter(self, job: Job) -> None:
        """Return when the job may be handled: a suspect, when its party is alone and in the log."""
        party = job.received.party
        await self._gate.enter(party)
        if party is None:
            return
        try:
            async with party.boarding:
                if not party.flight:
                    party.flight = await self._departed(party.members())
        except BaseException:
            self.leave(job)
            raise

    def leave(self, job: Job) -> None:
        """Let others in; a party none of which runs any more has landed, however it ended."""
        party = job.received.party
        if self._gate.leave() and party is not None and party.flight:
            self._landed.add(party.flight)
            party.flight = 0

    # -- what it hears as a journal -----------------------------------------------------------

    def received(self, received: Received, /) -> None:
        """Know of it already."""

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Not mind: the process is alive."""

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Wait for all of its delivery."""

    def left_out(self, received: Received) -> None:
        """Hear that a delivery that was written down is not taken in: it is another's by now."""
        received.dropped = True
        self.settled(received)

    def settled(self, received: Received, /) -> None:
        """Count it off its flight; a suspect that ended well is none any more."""
        if received.flight:
            self._aboard[received.flight] -= 1
            if not self._aboard[received.flight]:
                del self._aboard[received.flight]
                self._landed.add(received.flight)
        if received.rare is None:
            return
        if received.party is not None and received.suspect is not None:
            received.party.quit(received.suspect)
        if received.suspect is None or received.dropped:
            return
        if self._suspects.acquit(received.suspect):
            self._acquitted.add(received.suspect)

    def published(self, messages: Sequence[Message], /) -> None:
        """Not mind."""

    def notice(self, notice: Notice, /) -> None:
        """Not mind."""

    # -- within -------------------------------------------------------------------------------

    async def _departed(self, events: Sequence[bytes]) -> int:
        """Write down a flight; return its number."""
        self._flight += 1
        # Those before it have landed, and would be blamed with it if they stayed in the log.
        flight, landed = self._flight, sorted(self._landed)
        try:
            await self._flights.depart(self._own, flight, events, landed)
        except BaseException:
            self._landed.add(flight)  # it may be in the log all the same
            raise
        self._landed.difference_update(landed)
        return flight

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(LEASE.total_seconds() / 3)
            try:
                await self._look()
                await self._acquit()
                if self._landed:
                    landed = sorted(self._landed)
                    await self._flights.land(self._own, landed)
                    self._landed.difference_update(landed)
            except StoreError as error:
                logger.warning("the flight log cannot be kept", extra={"error": str(error)})

    async def _look(self) -> None:
        others = await self._flights.keep(self._own, LEASE)
        overdue = await self._flights.overdue() if self._may_judge() else ()
        dead = [*overdue, *gone(self._own, others)]
        if dead:
            await self._flights.blame(dead)
        crashes = await self._flights.suspects()
        self._suspects.learn({e: n for e, n in crashes.items() if e not in self._acquitted})
        if dead:
            names = {"processes": [one.pid for one in dead], "suspects": len(crashes)}
            logger.error("processes died at work; what they were at runs apart now", extra=names)

    def _may_judge(self) -> bool:
        """Say whether those who are overdue have had time to say that they are alive."""
        now = self._clock.monotonic()
        if -inf < self._kept < now - LATE.total_seconds():
            self._judges = now + LEASE.total_seconds()
        self._kept = now
        return now >= self._judges

    async def _acquit(self) -> None:
        if self._acquitted:
            acquitted = sorted(self._acquitted)
            await self._flights.acquit(acquitted)
            self._acquitted.difference_update(acquitted)


_: type[Journal] = Guard

"""Nobody is taken for dead because the store was away, and those who are dead are found."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from choreo.delivery.guard import LEASE, Guard
from choreo.errors import StoreError
from choreo.store.flights import Incarnation
from choreo.store.memory.flights import FlightRows, MemoryFlights
from choreo.testing import ManualClock

LIVING = [Incarnation(id=f"living-{n}", host=f"host-{n}", pid=1, started="then") for n in (1, 2)]
DEAD = Incarnation(id="dead", host="another", pid=1, started="then")


class Remote(MemoryFlights):
    """A flight log that may be out of reach."""

    away = False

    async def keep(self, own: Incarnation, lease: timedelta, /) -> Sequence[Incarnation]:
        if self.away:
            raise StoreError("connection refused")
        return await super().keep(own, lease)


@asynccontextmanager
async def plane(clock: ManualClock) -> AsyncGenerator[Remote]:
    """Have two processes at work on one event each, until the end."""
    flights = Remote(FlightRows(clock), "plane")
    first, second = (Guard(flights, own, 4, clock) for own in LIVING)
    async with first.keeping(), second.keeping():
        for own in LIVING:
            await flights.depart(own, 1, [own.id.encode()], ())
        yield flights


async def outage(clock: ManualClock, flights: Remote) -> None:
    """Take the store away for longer than anybody's lease."""
    flights.away = True
    await clock.advance(2 * LEASE.total_seconds())
    flights.away = False


async def test_an_outage_of_the_store_is_nobodys_crash() -> None:
    clock = ManualClock()

    async with plane(clock) as flights:
        await outage(clock, flights)
        await clock.advance(4 * LEASE.total_seconds())

        assert await flights.suspects() == {}


async def test_who_died_during_an_outage_of_the_store_is_found_a_lease_after_it() -> None:
    clock = ManualClock()

    async with plane(clock) as flights:
        await flights.keep(DEAD, LEASE)
        await flights.depart(DEAD, 1, [b"dead"], ())
        await outage(clock, flights)
        await clock.advance(2 * LEASE.total_seconds())

        assert await flights.suspects() == {b"dead": 1}

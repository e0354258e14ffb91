"""What processes are at, in memory: only one process can be, and it takes this with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from choreo.clock import Clock
from choreo.store.flights import Incarnation


class FlightRows:
    """The flights in one memory store, by service."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.alive: dict[tuple[str, str], tuple[Incarnation, datetime]] = {}
        self.flights: dict[tuple[str, str], dict[int, Sequence[bytes]]] = {}
        self.suspects: dict[str, Counter[bytes]] = {}


class MemoryFlights:
    """The flights of one service."""

    def __init__(self, rows: FlightRows, service: str) -> None:
        self._rows = rows
        self._service = service

    async def keep(self, own: Incarnation, lease: timedelta, /) -> Sequence[Incarnation]:
        """Say that *own* is alive, for *lease*; list the other ones that are."""
        now = self._rows.clock.now()
        self._rows.alive[self._service, own.id] = (own, now + lease)
        return [one for one, until in self._all() if until > now and one.id != own.id]

    async def overdue(self) -> Sequence[Incarnation]:
        """List those whose lease is over."""
        now = self._rows.clock.now()
        return [one for one, until in self._all() if until <= now]

    async def blame(self, dead: Sequence[Incarnation], /) -> None:
        """Count a crash for all that *dead* ones were at, once, whoever else finds them."""
        suspects = self._rows.suspects.setdefault(self._service, Counter())
        for one in dead:
            if self._rows.alive.pop((self._service, one.id), None) is not None:
                flights = self._rows.flights.pop((self._service, one.id), {})
                suspects.update({event for events in flights.values() for event in events})

    async def suspects(self) -> Mapping[bytes, int]:
        """Tell the crashes of every suspect."""
        return dict(self._rows.suspects.get(self._service, {}))

    async def depart(
        self, own: Incarnation, flight: int, events: Sequence[bytes], landed: Sequence[int], /
    ) -> None:
        """Note what *own* is about to touch, and forget the flights that have *landed*."""
        self._rows.flights.setdefault((self._service, own.id), {})[flight] = tuple(events)
        await self.land(own, landed)

    async def land(self, own: Incarnation, flights: Sequence[int], /) -> None:
        """Forget flights all of whose events have ended."""
        for flight in flights:
            self._rows.flights.get((self._service, own.id), {}).pop(flight, None)

    async def acquit(self, events: Sequence[bytes], /) -> None:
        """Forget suspects that have ended, or are in the dead letters."""
        for event in events:
            self._rows.suspects.get(self._service, Counter[bytes]()).pop(event, None)

    async def leave(self, own: Incarnation, /) -> None:
        """Say that *own* ends of its own accord: nothing that it was at is suspect."""
        self._rows.alive.pop((self._service, own.id), None)
        self._rows.flights.pop((self._service, own.id), None)

    def _all(self) -> Sequence[tuple[Incarnation, datetime]]:
        return [
            found for (service, _), found in self._rows.alive.items() if service == self._service
        ]

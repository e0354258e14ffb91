"""What each process is at: with those that die it is suspect, and with no others (D7)."""

import asyncio
from datetime import timedelta

from choreo.store.flights import Incarnation
from choreo.testing.contract.bench import same
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import shelf

LEASE = timedelta(minutes=5)


def incarnation(name: str) -> Incarnation:
    """Name a process."""
    return Incarnation(id=name, host="here", pid=7, started="then")


def event(number: int) -> bytes:
    """Name an event as the flight log does."""
    return number.to_bytes(16, "big")


class Flights:
    """Only what was in flight as its process died is counted against an event."""

    async def test_what_was_in_flight_with_the_dead_is_suspect(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            flights = s.ledger.order.flights
            dead, alive = incarnation("dead"), incarnation("alive")
            await flights.keep(dead, timedelta(0))
            same(await flights.keep(alive, LEASE), [], "flights.keep(alive, LEASE)")
            await flights.depart(dead, 1, [event(1), event(2)], ())
            await flights.depart(dead, 2, [event(3)], [1])
            await flights.depart(dead, 3, [event(3), event(4), event(4)], ())
            await flights.depart(alive, 1, [event(9)], ())

            same(await flights.overdue(), [dead], "flights.overdue()")
            await asyncio.gather(*(flights.blame([dead]) for _ in range(3)))

            same(await flights.suspects(), {event(3): 1, event(4): 1}, "flights.suspects()")
            same(await flights.overdue(), [], "flights.overdue()")

    async def test_crashes_add_up_until_the_event_has_ended(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            flights = s.ledger.order.flights
            for life in range(3):
                process = incarnation(f"life-{life}")
                await flights.keep(process, LEASE)
                await flights.depart(process, 1, [event(1), event(life)], ())
                await flights.blame([process])

            same((await flights.suspects())[event(1)], 3, "(flights.suspects())[event(1)]")
            await flights.acquit([event(1), event(0)])
            same(await flights.suspects(), {event(2): 1}, "flights.suspects()")

    async def test_who_leaves_of_its_own_accord_leaves_no_suspects(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            flights = s.ledger.order.flights
            process = incarnation("one")
            await flights.keep(process, LEASE)
            await flights.depart(process, 1, [event(1)], ())
            same(
                await flights.keep(incarnation("two"), LEASE),
                [process],
                "flights.keep(incarnation('two'), LEASE)",
            )

            await flights.leave(process)
            await flights.blame([process])

            same(await flights.suspects(), {}, "flights.suspects()")
            same(
                await flights.keep(incarnation("two"), LEASE),
                [],
                "flights.keep(incarnation('two'), LEASE)",
            )

    async def test_what_has_landed_is_no_suspect(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            flights = s.ledger.order.flights
            process = incarnation("one")
            await flights.keep(process, timedelta(0))
            await flights.depart(process, 1, [event(1)], ())
            await flights.land(process, [1])

            await flights.blame(await flights.overdue())

            same(await flights.suspects(), {}, "flights.suspects()")

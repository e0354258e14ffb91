"""What processes were at when they died, in every store (D7)."""

import asyncio
from datetime import timedelta

from choreo.store.flights import Incarnation
from choreo.store.port import Ledger

LEASE = timedelta(seconds=30)


def incarnation(name: str) -> Incarnation:
    return Incarnation(id=name, host="here", pid=7, started="then")


def event(number: int) -> bytes:
    return number.to_bytes(16, "big")


async def test_what_was_in_flight_with_the_dead_is_suspect(ledger: Ledger[object]) -> None:
    flights = ledger.order.flights
    dead, alive = incarnation("dead"), incarnation("alive")
    await flights.keep(dead, timedelta(0))
    assert await flights.keep(alive, LEASE) == []
    await flights.depart(dead, 1, [event(1), event(2)], ())
    await flights.depart(dead, 2, [event(3)], [1])
    await flights.depart(dead, 3, [event(3), event(4), event(4)], ())
    await flights.depart(alive, 1, [event(9)], ())

    assert await flights.overdue() == [dead]
    await asyncio.gather(*(flights.blame([dead]) for _ in range(3)))

    assert await flights.suspects() == {event(3): 1, event(4): 1}
    assert await flights.overdue() == []


async def test_crashes_add_up_until_the_event_has_ended(ledger: Ledger[object]) -> None:
    flights = ledger.order.flights
    for life in range(3):
        process = incarnation(f"life-{life}")
        await flights.keep(process, LEASE)
        await flights.depart(process, 1, [event(1), event(life)], ())
        await flights.blame([process])

    assert (await flights.suspects())[event(1)] == 3
    await flights.acquit([event(1), event(0)])
    assert await flights.suspects() == {event(2): 1}


async def test_who_leaves_of_its_own_accord_leaves_no_suspects(ledger: Ledger[object]) -> None:
    flights = ledger.order.flights
    process = incarnation("one")
    await flights.keep(process, LEASE)
    await flights.depart(process, 1, [event(1)], ())
    assert await flights.keep(incarnation("two"), LEASE) == [process]

    await flights.leave(process)
    await flights.blame([process])

    assert await flights.suspects() == {}
    assert await flights.keep(incarnation("two"), LEASE) == []


async def test_what_has_landed_is_no_suspect(ledger: Ledger[object]) -> None:
    flights = ledger.order.flights
    process = incarnation("one")
    await flights.keep(process, timedelta(0))
    await flights.depart(process, 1, [event(1)], ())
    await flights.land(process, [1])

    await flights.blame(await flights.overdue())

    assert await flights.suspects() == {}

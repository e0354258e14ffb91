"""What was in flight in a process that died, however much that was."""

from datetime import timedelta

import pytest

from choreo.store.flights import Flights, Incarnation
from choreo_sql import SqlStore
from tests.store.statements import counted

MANY = 2_000
EVENTS = [number.to_bytes(16, "big") for number in range(MANY)]
LEASE = timedelta(seconds=15)


async def died(flights: Flights, name: str) -> Incarnation:
    """Have a process be at all events, and say no more."""
    process = Incarnation(id=name, host="elsewhere", pid=1, started="then")
    await flights.keep(process, LEASE)
    await flights.depart(process, 1, EVENTS, ())
    return process


@pytest.mark.parametrize("crashes", [1, 2])
async def test_who_starts_after_a_crash_does_not_wait_once_for_each_event_in_flight(
    url: str, crashes: int
) -> None:
    """They wait for a lock: thousands of answers in a row outlast every time limit."""
    async with SqlStore(url) as store:
        flights = (await store.ledger("shop", ["charge"])).order.flights
        for crash in range(crashes):
            process = await died(flights, f"process-{crash}")
            with counted() as sent:
                await flights.blame([process])
            assert len(sent) < MANY / 100

        assert await flights.suspects() == dict.fromkeys(EVENTS, crashes)


async def test_a_batch_that_departs_goes_past_sqlalchemy(url: str) -> None:
    """Each batch of events waits for it."""
    process = Incarnation(id="process", host="here", pid=1, started="now")
    async with SqlStore(url) as store:
        flights = (await store.ledger("shop", ["charge"])).order.flights
        await flights.keep(process, LEASE)

        with counted() as sent:
            await flights.depart(process, 1, EVENTS[:2], ())
            await flights.depart(process, 2, EVENTS[2:3], (1,))

        assert not sent
        await flights.blame([process])
        assert await flights.suspects() == {EVENTS[2]: 1}, "the first flight has landed"

"""What was in flight in a process that died, however much that was."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from choreo.store.flights import Flights, Incarnation
from choreo_sql import SqlStore

MANY = 2_000
EVENTS = [number.to_bytes(16, "big") for number in range(MANY)]
LEASE = timedelta(seconds=15)


@contextmanager
def counted() -> Generator[list[str]]:
    """Note what is sent to any database meanwhile."""
    sent: list[str] = []

    def note(*details: object) -> None:
        sent.append(str(details[2]))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


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

"""A small choreography for the harness to run: placed → taken → booked."""

import asyncio
from datetime import timedelta

from choreo import Event, Reject, Retry, Service


class Placed(Event, topic="orders", key="order"):
    order: int
    fail: int = 0
    """How many attempts to charge it fail."""


class Taken(Event, topic="payments", key="order"):
    order: int


class Booked(Event, topic="books", key="order"):
    order: int


HOUR = timedelta(hours=1)


class Shop:
    """Two services made anew for each test, and what their handlers saw."""

    def __init__(self) -> None:
        self.attempts: dict[int, int] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.payments = Service("payments")
        self.books = Service("books")
        self.payments.on(Placed, retry=Retry(attempts=4, initial=HOUR, maximum=HOUR))(self.charge)
        self.books.on(Taken)(self.book)

    async def charge(self, placed: Placed) -> Taken:
        """Fail as often as the order says."""
        self.attempts[placed.order] = self.attempts.get(placed.order, 0) + 1
        await self.gate.wait()
        if placed.order < 0:
            raise Reject("no such order")
        if self.attempts[placed.order] <= placed.fail:
            raise ConnectionError(f"attempt {self.attempts[placed.order]}")
        return Taken(order=placed.order)

    def book(self, taken: Taken) -> Booked | None:
        """Book in a thread; nobody handles what comes of it."""
        return Booked(order=taken.order) if taken.order % 2 else None

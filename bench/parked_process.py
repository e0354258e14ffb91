"""A service on SQLite, one of whose keys may be parked: ``-m bench.parked_process``."""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from uuid import uuid4

from bench.child import Numbers, answering
from bench.events import KEYS, Order, orders
from choreo import Park, Retry, Service
from choreo.cli.collector import ease_collector
from choreo.runner import Running, started

SERVE = "serve"
EACH = 2
"""Events of every key that are published at once."""
PARK = Park(initial=timedelta(seconds=1), maximum=timedelta(seconds=1), attempts=100_000)
"""Tried again every second, five times as often as at first by default, and never rarer."""


class Others:
    """Counts the events of all keys but the poisoned one, and insists on the order of each."""

    def __init__(self, poisoned: str | None) -> None:
        self._poisoned = poisoned
        self._next: dict[str, int] = {}
        self._due = 0
        self.size = EACH * (KEYS if poisoned is None else KEYS - 1)
        """How many there are of those that are published at once."""
        self.done = asyncio.Event()

    def expect(self) -> None:
        """Be done when all of what is published now has come."""
        self._due = self.size
        self.done.clear()

    def note(self, order: Order) -> None:
        """Count *order*. Raises ValueError for the poisoned key, AssertionError out of order."""
        if order.customer == self._poisoned:
            raise ValueError("poison")
        due = self._next.get(order.customer, 0)
        if order.number != due:
            raise AssertionError(f"{order.customer}: {order.number} came instead of {due}")
        self._next[order.customer] = due + 1
        self._due -= 1
        if not self._due:
            self.done.set()


class Turns:
    """Serves with or without a poisoned key, and takes the time of so many events at once."""

    def __init__(self) -> None:
        self._open = AsyncExitStack()
        self._others = Others(None)
        self._running: Running | None = None
        self._turn = 0

    async def answer(self, question: str) -> Numbers:
        """Serve anew with the key of ``serve KEY``, or without one; or tell what a turn takes."""
        if not question.startswith(SERVE):
            return await self._take()
        await self.close()
        self._others, self._turn = Others(question.removeprefix(SERVE).strip() or None), 0
        self._running = await self._open.enter_async_context(_serving(self._others))
        gc.collect()  # what the one before leaves behind is not this one's to clear away
        return {}

    async def close(self) -> None:
        """End the service that there is."""
        await self._open.aclose()

    async def _take(self) -> Numbers:
        running, others = self._running, self._others
        assert running is not None
        assert running.worker is not None
        made, self._turn = _orders(self._turn), self._turn + 1
        others.expect()
        since, spent = perf_counter(), process_time()
        await running.publish(made)
        await others.done.wait()
        await running.worker.idle()  # what is laid behind the parked event is laid by then
        took = {"seconds": perf_counter() - since, "cpu": process_time() - spent}
        return took | {"events": others.size}


async def main() -> None:
    """Answer each question, the first of which is whom to serve."""
    turns = Turns()
    ease_collector()
    try:
        await answering(turns.answer)
    finally:
        await turns.close()


def _orders(turn: int) -> list[Order]:
    """Make what is published in that *turn*, numbered on from those before."""
    return [
        order.model_copy(update={"number": order.number + turn * EACH})
        for order in orders(EACH * KEYS)
    ]


@asynccontextmanager
async def _serving(others: Others) -> AsyncGenerator[Running]:
    with TemporaryDirectory() as folder:
        service = Service(
            "bench",
            broker=f"memory://{uuid4().hex}?retention={EACH * KEYS}",
            store=f"sqlite:///{Path(folder) / 'books.db'}",
            retry=Retry(attempts=1),
        )

        @service.on(Order, on_failure=PARK)
        async def handle(order: Order) -> None:
            await asyncio.sleep(0)
            others.note(order)

        async with started(service) as running:
            yield running


if __name__ == "__main__":
    logging.getLogger("choreo").setLevel(logging.CRITICAL)  # failures are part of the measure
    asyncio.run(main())

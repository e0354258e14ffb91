"""A service in memory that meets many keys, and tells what they cost: ``-m bench.many_keys N``."""

import asyncio
import gc
import os
import sys
from array import array
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import process_time
from uuid import uuid4

from bench.child import Numbers, answering
from bench.events import Order, orders
from bench.memory import written
from choreo import Message, Service
from choreo.cli.collector import ease_collector
from choreo.runner import Running, started
from choreo_memory import MemoryBroker

ROUND = 20_000
"""Events of one round."""
CALL = 500
"""Events that are published at once: what the log holds is the broker's, but seen, too."""
PRIMED = 250_000
"""Events before the first round at the least: as many as fill all that is bounded by itself."""
FULL = 2
"""Number of the collector's oldest generation."""


class Pauses:
    """Processor time of every look that the collector takes at all objects."""

    def __init__(self) -> None:
        self._since = 0.0
        self.longest = 0.0

    def heard(self, phase: str, info: dict[str, int]) -> None:
        """Note a collection; the collector calls it."""
        if info["generation"] < FULL:
            return
        if phase == "start":
            self._since = process_time()
        else:
            self.longest = max(self.longest, process_time() - self._since)


class Feed:
    """Endless orders over so many keys, in turn, each as a broker has it."""

    def __init__(self, keys: int, pattern: Message) -> None:
        self._pattern, self._count = pattern, 0
        self._keys = keys
        self._run = uuid4().hex[:18]

    def take(self, count: int) -> list[Message]:
        """Make the next *count*."""
        return list(islice(self._endless(), count))

    def _endless(self) -> Iterator[Message]:
        pattern = self._pattern
        body = (pattern.body or b"").replace(b'"customer-0"', b'"%b"').replace(b":0,", b":%d,", 1)
        while True:
            number, place = divmod(self._count, self._keys)
            key, identity = b"customer-%d" % place, f"{self._run}-{self._count:017d}".encode()
            own = {"ce_id": identity, "ce_partitionkey": key, "ce_correlationid": identity}
            self._count += 1
            headers = tuple((name, own.get(name, value)) for name, value in pattern.headers)
            yield replace(pattern, body=body % (key, number), key=key, headers=headers)


class Ranks:
    """Insists on the order of each key, in memory that was there before any of them came."""

    def __init__(self, keys: int) -> None:
        self._next = array("q", bytes(8 * keys))
        self.count = self.due = 0
        self._collect: int | None = None
        self.done = asyncio.Event()

    def expect(self, count: int, *, collect: bool) -> None:
        """Be done after *count* more; have the collector look at all in their midst if so asked."""
        self.due = self.count + count
        self._collect = self.count + count // 2 if collect else None
        self.done.clear()

    def note(self, order: Order) -> None:
        """Count *order*. Raises AssertionError out of order."""
        place = int(order.customer.removeprefix("customer-"))
        if order.number != self._next[place]:
            raise AssertionError(f"{order.customer}: {order.number}, not {self._next[place]}")
        self._next[place] += 1
        self.count += 1
        if self.count == self._collect:
            gc.collect()
        if self.count == self.due:
            self.done.set()


def resident() -> int:
    """Tell the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main(keys: int) -> None:
    """Answer ``primed`` with the bytes that the keys have added, and ``round`` with a round."""
    url = f"memory://{uuid4().hex}?partitions=1&retention={CALL}"
    service, ranks, pauses = Service("bench", broker=url), Ranks(keys), Pauses()
    feed = Feed(keys, (await written(orders(1)))[0])

    @service.on(Order)
    async def handle(order: Order) -> None:
        ranks.note(order)

    async with MemoryBroker(url) as broker, started(service) as running:

        async def through(count: int, *, collect: bool = False) -> float:
            cost = 0.0
            for _ in range(0, count, CALL):
                messages = feed.take(CALL)
                ranks.expect(CALL, collect=collect)
                since = process_time()
                await broker.publish(messages)
                await _ended(running, ranks)
                cost += process_time() - since
            return cost

        async def answer(question: str) -> Numbers:
            if question == "round":
                pauses.longest = 0.0
                cost = await through(ROUND) / ROUND
                await through(CALL, collect=True)
                return {"cost": cost, "pause": pauses.longest}
            before = resident()
            await through(max(keys, PRIMED))
            gc.collect()
            return {"grown": resident() - before}

        await through(ROUND)
        ease_collector()
        gc.callbacks.append(pauses.heard)
        await answering(answer)


async def _ended(running: Running, ranks: Ranks) -> None:
    await ranks.done.wait()
    assert running.worker is not None
    await running.worker.idle()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

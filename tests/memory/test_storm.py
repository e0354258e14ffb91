"""Members come, go and die while they handle in any order; a plain account is kept beside them."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random

import pytest

from choreo.message import Delivery
from choreo.testing.clock import rest
from choreo_memory import MemoryBroker
from choreo_memory.consumer import MemoryConsumer
from tests.memory.ear import ALL, Ear, keyed

SUBSCRIPTION = replace(ALL, max_span=12)


class Storm:
    """One group under random operations; every step is checked against what was settled so far."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.url = f"memory://storm-{seed}?partitions=3&retention=0"
        self.keep = MemoryBroker(self.url)
        self.members: list[tuple[MemoryBroker, MemoryConsumer, AsyncExitStack]] = []
        self.out: dict[int, list[Delivery]] = {}
        self.settled: set[bytes | None] = set()
        self.late: list[Delivery] = []
        self.published = 0

    async def run(self, steps: int) -> None:
        moves = [self.publish, self.publish, self.join, self.leave, self.crash]
        moves += [self.poll] * 6 + [self.settle] * 6 + [self.settle_late]
        async with self.keep:
            for _ in range(steps):
                await self.random.choice(moves)()
                if self.random.random() < 0.5:
                    await rest()
            await self.finish()

    async def publish(self) -> None:
        count = self.random.randrange(1, 30)
        await self.keep.publish(keyed(count, self.published))
        self.published += count

    async def join(self) -> None:
        if len(self.members) < 4:
            stack, client = AsyncExitStack(), MemoryBroker(self.url)
            await stack.enter_async_context(client)
            consumer = await stack.enter_async_context(client.subscribe(SUBSCRIPTION, Ear()))
            self.members.append((client, consumer, stack))
            self.out[id(consumer)] = []

    async def leave(self) -> None:
        if self.members:
            _, consumer, stack = self.members.pop(self.random.randrange(len(self.members)))
            await stack.aclose()
            self.late += self.out.pop(id(consumer))

    async def crash(self) -> None:
        if self.members:
            client, consumer, stack = self.members.pop(self.random.randrange(len(self.members)))
            client.crash()
            self.late += self.out.pop(id(consumer))
            await stack.aclose()

    async def poll(self) -> None:
        if self.members:
            _, consumer, _ = self.random.choice(self.members)
            self.take(consumer, await _poll(consumer, self.random.randrange(1, 20)))

    def take(self, consumer: MemoryConsumer, got: list[Delivery]) -> None:
        again = [d.body for d in got if d.body in self.settled]
        assert not again, f"settled, and yet handed over: {again}"
        self.out[id(consumer)] += got

    async def settle(self) -> None:
        if self.members:
            _, consumer, _ = self.random.choice(self.members)
            out = self.out[id(consumer)]
            some = self.random.sample(out, self.random.randrange(len(out) + 1))
            self.note(consumer, some)
            self.out[id(consumer)] = [delivery for delivery in out if delivery not in some]

    async def settle_late(self) -> None:
        """Settle what belongs to others by now: nothing may come of it."""
        if self.members and self.late:
            self.random.choice(self.members)[1].settle(self.late)

    def note(self, consumer: MemoryConsumer, done: list[Delivery]) -> None:
        before = {p.stream: p for p in consumer.progress()}
        consumer.settle(done)
        for progress in consumer.progress():
            assert progress.settled >= before[progress.stream].settled
        # Only what came in the present assignment counts.
        epochs = {place.epoch for place in consumer._places.values()}
        self.settled |= {d.body for d in done if d.epoch in epochs}

    async def finish(self) -> None:
        while self.members:
            await self.leave()
        await self.join()
        _, consumer, stack = self.members[0]
        while got := await _poll(consumer, 1000):
            self.take(consumer, got)
            self.note(consumer, got)
        await stack.aclose()
        assert self.settled == {b"%d" % n for n in range(self.published)}


async def _poll(consumer: MemoryConsumer, limit: int) -> list[Delivery]:
    """Take what is there now; nothing, if there is nothing."""
    polling = asyncio.ensure_future(consumer.poll(limit))
    await rest()
    polling.cancel()
    await asyncio.wait([polling])
    return [] if polling.cancelled() else list(polling.result())


@pytest.mark.parametrize("seed", range(60))
async def test_nothing_is_lost_and_nothing_settled_returns(seed: int) -> None:
    await Storm(seed).run(150)

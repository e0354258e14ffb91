"""The whole pipeline in memory, against decoding the same bytes and awaiting a handler."""

import asyncio
from collections.abc import Sequence
from time import perf_counter

from bench.events import Order, Tally, orders
from bench.measure import Result, side_by_side
from choreo import Message, Service
from choreo.broker import TopicFilter
from choreo.runner import started
from choreo_memory import MemoryBroker

COUNT = 20_000


async def memory(runs: int) -> Result:
    """Measure ``memory``: choreo's events per second ÷ those of the bare loop."""
    messages = await _messages()
    bodies = [message.body or b"" for message in messages]
    rounds = iter(range(1_000))

    async def ours() -> float:
        return await _consumed(f"memory://bench-{next(rounds)}?retention=1000000", messages)

    async def bare() -> float:
        tally = Tally(COUNT)

        async def handle(order: Order) -> None:
            tally.note(order)

        begun = perf_counter()
        for body in bodies:
            await handle(Order.model_validate_json(body))
        return COUNT / (perf_counter() - begun)

    return await side_by_side("memory", ours, bare, runs=runs)


async def _messages() -> Sequence[Message]:
    """Write the orders once, and read them back as a broker has them."""
    url = "memory://bench-source?retention=1000000"
    shop = Service("shop", broker=url)
    async with started(shop):
        await shop.publish_many(orders(COUNT))
        async with MemoryBroker(url) as broker, broker.browse(TopicFilter("bench-orders")) as found:
            return [Message(m.topic, m.body, m.key, m.headers) async for m in found]


async def _consumed(url: str, messages: Sequence[Message]) -> float:
    service = Service("bench", broker=url, prefetch=500)
    tally = Tally(COUNT)
    done = asyncio.Event()

    @service.on(Order)
    async def handle(order: Order) -> None:
        if tally.note(order):
            done.set()

    async with MemoryBroker(url) as broker:
        await broker.publish(messages)
        begun = perf_counter()
        async with started(service) as running:
            await done.wait()
            assert running.worker is not None
            await running.worker.idle()
            return COUNT / (perf_counter() - begun)

"""The whole pipeline in memory, against decoding the same bytes and awaiting a handler."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from bench.events import KEYS, Load, Order, Tally, orders
from bench.measure import Result, Stopwatch, Taken, side_by_side
from choreo import Message, Retry, Service
from choreo.broker import TopicFilter
from choreo.event import event_type
from choreo.runner import started
from choreo.telemetry.telemetry import Telemetry
from choreo_memory import MemoryBroker

COUNT = 20_000
ROUNDS = 3
"""How many for each that is asked for: they are short, and what else runs here meets some only."""
FAILING = frozenset(f"customer-{n}" for n in range(0, KEYS, 100))
"""One key in a hundred, whose every event fails."""


async def memory(runs: int) -> Result:
    """Measure ``memory``: the whole pipeline ÷ ``model_validate_json`` and await."""
    messages = await written(orders(COUNT))
    bodies = [message.body or b"" for message in messages]

    async def ours() -> Taken:
        return await consumed(messages)

    async def bare() -> Taken:
        tally, watch = Tally(COUNT), Stopwatch()

        async def handle(order: Order) -> None:
            tally.note(order)

        watch.begin()
        for body in bodies:
            await handle(Order.model_validate_json(body))
        return watch.took(COUNT)

    return await side_by_side("memory", ours, bare, runs=ROUNDS * runs, unit="µs CPU")


async def failing_keys(runs: int) -> Result:
    """Measure ``failing_keys``: 1 % of keys fail always ÷ none fails."""
    messages = await written(orders(COUNT))

    async def some() -> Taken:
        return await consumed(messages, failing=FAILING)

    async def none() -> Taken:
        return await consumed(messages)

    return await side_by_side("failing_keys", some, none, runs=ROUNDS * runs, unit="µs CPU")


async def written(events: Sequence[Order] | Sequence[Load]) -> Sequence[Message]:
    """Write the events, of one topic, once, and read them back as a broker has them."""
    url = f"memory://{uuid4().hex}?retention=1000000"
    shop, topic = Service("shop", broker=url), TopicFilter(event_type(type(events[0])).topic.flat)
    async with started(shop):
        await shop.publish_many(events)
        async with MemoryBroker(url) as broker, broker.browse(topic) as found:
            return [Message(m.topic, m.body, m.key, m.headers) async for m in found]


async def consumed(
    messages: Sequence[Message],
    *,
    failing: frozenset[str] = frozenset(),
    telemetry: Telemetry | None = None,
) -> Taken:
    """Handle *messages*, which the log holds already."""
    url = f"memory://{uuid4().hex}?retention=1000000"
    # What is measured is what each failure costs: a handler that rested would fail less often.
    service = Service("bench", broker=url, retry=Retry(attempts=1), outage_keys=0)
    expected = sum((message.key or b"").decode() not in failing for message in messages)
    tally, watch, done = Tally(expected), Stopwatch(), asyncio.Event()

    @service.on(Order)
    async def handle(order: Order) -> None:
        if order.customer in failing:
            raise ValueError("always")
        if tally.note(order):
            done.set()

    async with MemoryBroker(url) as broker:
        await broker.publish(messages)
        watch.begin()
        async with started(service, telemetry=telemetry) as running:
            await done.wait()
            assert running.worker is not None
            await running.worker.idle()
            return watch.took(expected)

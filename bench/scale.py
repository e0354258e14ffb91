"""What an event costs when two processes share a topic, beside one that has it for itself."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from time import perf_counter
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from bench.child import Child, Numbers
from bench.events import loads
from bench.measure import Result, Taken, side_by_side
from bench.memory import written
from bench.worker_process import WARM
from choreo import Message, Service
from choreo.runner import started

COUNT = 60_000
WARMED = 1_000
"""Keys of a run that shows that every partition is read."""
LOOK = 0.05
"""Seconds between two questions how far they are."""


async def scale(runs: int, bootstrap: str) -> Result:
    """Measure ``scale``: the processor time of an event in two processes ÷ that in one."""
    messages = await written(loads("", COUNT))
    two, one = (partial(_shared, bootstrap, messages, processes) for processes in (2, 1))
    return await side_by_side("scale", two, one, runs=runs, unit="µs CPU")


async def _shared(bootstrap: str, messages: Sequence[Message], processes: int) -> Taken:
    """Have *messages* handled by so many processes, all of which find them there at once."""
    name = f"bench-{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        start = partial(Child.running, "bench.worker_process", f"kafka://{bootstrap}", name)
        children = [await stack.enter_async_context(start()) for _ in range(processes)]
        await _joined(bootstrap, children)
        await _publish_at_once(bootstrap, messages)
        began, told = perf_counter(), await _ask(children, "count")
        while sum(one["count"] for one in told) < COUNT:
            await asyncio.sleep(LOOK)
            told = await _ask(children, "count")
        seconds = perf_counter() - began
        assert sum(one["count"] for one in told) == COUNT
        assert all(one["count"] for one in told)
        return Taken(COUNT, seconds, sum(one["cpu"] for one in told))


async def _joined(bootstrap: str, children: Sequence[Child]) -> None:
    """Publish until each process has its part, and the partitions are read by them to the last."""
    async with started(Service("bench-shop", broker=f"kafka://{bootstrap}")) as shop:
        for number in count():
            run = f"{WARM}-{number}"
            await shop.publish(loads(run, WARMED))
            await asyncio.sleep(1.0)
            heard = [one["count"] for one in await _ask(children, run)]
            if all(heard) and sum(heard) == WARMED:
                return


async def _publish_at_once(bootstrap: str, messages: Sequence[Message]) -> None:
    """Publish in a transaction: what reads only what is committed sees all of it, or nothing."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=uuid4().hex)
    await producer.start()
    try:
        async with producer.transaction():
            sent = [
                await producer.send(one.topic, one.body, one.key, headers=list(one.headers))
                for one in messages
            ]
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def _ask(children: Sequence[Child], question: str) -> Sequence[Numbers]:
    return await asyncio.gather(*(child.ask(question) for child in children))

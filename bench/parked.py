"""One parked key among a thousand, against none: the same service on SQLite, in turn."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from bench.events import KEYS, Order, orders
from bench.measure import Result, Stopwatch, Taken, side_by_side
from choreo import Park, Retry, Service
from choreo.runner import started

COUNT = 20_000
PARK = Park(initial=Park().initial / 5, maximum=Park().initial / 2, attempts=1_000)
"""Tried again every second or two, so that several tries fall into one run."""
POISONED = f"customer-{KEYS // 2}"


async def parked_key(runs: int) -> Result:
    """Measure ``parked_key``: events per second of the other keys with it ÷ those without."""
    with TemporaryDirectory() as folder:

        async def poisoned() -> Taken:
            return await _handled(Path(folder), poisoned=POISONED)

        async def sound() -> Taken:
            return await _handled(Path(folder), poisoned=None)

        return await side_by_side("parked_key", poisoned, sound, runs=min(runs, 3))


async def _handled(folder: Path, *, poisoned: str | None) -> Taken:
    name = uuid4().hex
    service = Service(
        "bench",
        broker=f"memory://{name}?retention=1000000",
        store=f"sqlite:///{folder}/{name}.db",
        retry=Retry(attempts=1),
    )
    expected = sum(order.customer != poisoned for order in orders(COUNT))
    seen: dict[str, list[int]] = {}
    watch, done, count = Stopwatch(), asyncio.Event(), 0

    @service.on(Order, on_failure=PARK)
    async def handle(order: Order) -> None:
        nonlocal count
        await asyncio.sleep(0)
        if order.customer == poisoned:
            raise ValueError("poison")
        seen.setdefault(order.customer, []).append(order.number)
        count += 1
        if count == expected:
            done.set()

    async with started(service) as running:
        watch.begin()
        await running.publish(orders(COUNT))
        await done.wait()
        took = watch.took(expected)
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    return took

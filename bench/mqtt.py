"""Real Mosquitto at QoS 1 through the whole pipeline, against raw paho at the same work."""

import asyncio
from functools import partial
from uuid import uuid4

from bench import raw_mqtt
from bench.events import Order, Tally, orders
from bench.measure import Result, Stopwatch, Taken, side_by_side
from choreo import Service
from choreo.runner import started

COUNT = 10_000
CALL = 500
"""Events in one call of publish_many."""


async def mqtt_receive(runs: int, url: str) -> Result:
    """Measure ``mqtt_receive``: choreo ÷ paho with add_reader; each acknowledges after handling."""

    async def ours() -> Taken:
        name = f"bench-{uuid4().hex[:8]}"
        tally, watch, done = Tally(COUNT), Stopwatch(), asyncio.Event()
        service = Service(name, broker=url)

        @service.on(Order)
        async def handle(order: Order) -> None:
            watch.begin()
            if tally.note(order):
                done.set()

        async with started(service):
            pass  # from now on the broker keeps what is published for it
        await _fill(url)
        async with started(service) as running:
            await done.wait()
            assert running.worker is not None
            await running.worker.idle()
            return watch.took(COUNT)

    async def peer() -> Taken:
        name = f"bench-{uuid4().hex[:8]}"
        await raw_mqtt.subscribe(url, name)
        await _fill(url)
        return await raw_mqtt.receive(url, name, COUNT)

    return await side_by_side("mqtt_receive", ours, peer, runs=min(runs, 3))


async def mqtt_publish(runs: int, url: str) -> Result:
    """Measure ``mqtt_publish``: publish_many of 500 ÷ paho with add_reader, a window of 20."""
    events = orders(COUNT)
    shop = Service("bench-shop", broker=url)

    async def ours() -> Taken:
        async with started(shop):
            await shop.publish_many(events[:CALL])
            watch = Stopwatch()
            watch.begin()
            for start in range(0, COUNT, CALL):
                await shop.publish_many(events[start : start + CALL])
            return watch.took(COUNT)

    peer = partial(raw_mqtt.publish, url, events)
    return await side_by_side("mqtt_publish", ours, peer, runs=min(runs, 3))


async def _fill(url: str) -> None:
    async with started(Service("bench-shop", broker=url)) as shop:
        await shop.publish(orders(COUNT))

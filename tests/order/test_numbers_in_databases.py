"""Numbered events over restarts and changes of owner, on real databases."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from random import Random
from uuid import uuid4

import pytest

from choreo import Context, Gaps, Park, Retry, Service
from choreo.broker import Binding, Broker
from choreo.cloudevents import EnvelopeWriter
from choreo.gaps import Policy
from choreo.runner import Running, started
from choreo_memory import MemoryBroker
from choreo_sql import SqlStore
from tests.order.events import Plain, Reading, envelope
from tests.order.plant import Forgetful

pytestmark = [
    pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True),
    pytest.mark.timeout(60),  # a new database takes some seconds on a busy machine
]


WAIT = Gaps(policy="wait")
PATIENCE = timedelta(milliseconds=10)


def service(url: str, broker: str | Broker, seen: list[int], gaps: Gaps = WAIT) -> Service:
    plant = Service("plant", broker=broker, store=url)

    @plant.on(Reading, gaps=gaps)
    async def read(event: Reading, ctx: Context) -> None:
        seen.append(event.number)

    @plant.on(Plain, gaps=gaps)
    async def plain(event: Plain) -> None:
        seen.append(event.number)

    return plant


async def devices_of(stack: AsyncExitStack, brokers: Sequence[str]) -> list[Running]:
    """Start who publishes at each broker."""
    return [
        await stack.enter_async_context(started(Service("device", broker=broker)))
        for broker in brokers
    ]


async def until(seen: list[int], count: int) -> None:
    while len(seen) < count:
        await asyncio.sleep(0.01)


async def test_a_restart_in_the_middle_of_a_gap_loses_neither_the_gap_nor_what_is_behind_it(
    url: str,
) -> None:
    """R2, R3: what was held back was never settled, and the position is in the store."""
    broker, seen = f"memory://{uuid4()}", list[int]()
    async with started(Service("device", broker=broker)) as device:

        async def send(*numbers: int) -> None:
            await device.publish([Reading(sensor="a", number=number) for number in numbers])

        async with started(service(url, broker, seen)) as running:
            await send(1, 2, 5, 4)
            await until(seen, 2)
            assert running.worker is not None
            while running.worker.held > 2:
                await asyncio.sleep(0.01)
        assert seen == [1, 2]

        async with started(service(url, broker, seen)):
            await send(3)
            await until(seen, 5)
        async with started(service(url, broker, seen)):
            await send(7, 6)
            await until(seen, 7)

    assert seen == [1, 2, 3, 4, 5, 6, 7]


async def test_two_owners_of_one_stream_keep_its_order_between_them(url: str) -> None:
    """R13: both are handed everything, and the store tells whoever comes second."""
    seen = list[int]()
    brokers = [f"memory://{uuid4()}" for _ in range(2)]
    writer, random = EnvelopeWriter(Binding.KAFKA), Random(1)
    async with AsyncExitStack() as stack:
        for broker in brokers:
            await stack.enter_async_context(started(service(url, broker, seen)))
        devices = await devices_of(stack, brokers)
        for device in devices:
            numbers = list(range(1, 41))
            random.shuffle(numbers)
            for number in numbers:
                message = writer.write(envelope(str(number)), "plain", None)
                await device.send([message])
        while len(set(seen)) < 40:
            await asyncio.sleep(0.01)

    # Both may run a handler, whose end only one of them writes; what follows, follows that end.
    assert list(dict.fromkeys(seen)) == list(range(1, 41))


@pytest.mark.parametrize("policy", ["wait", "park"])
async def test_who_moves_a_stream_need_not_know_what_another_owner_has_laid_into_the_store(
    url: str, policy: Policy
) -> None:
    """R13: one has the number that is missing, the other has written what is behind it."""
    seen = list[int]()
    kind = Forgetful if policy == "wait" else MemoryBroker
    brokers = [f"memory://{uuid4()}" for _ in range(2)]
    gaps = Gaps(policy=policy, patience=timedelta(milliseconds=10))
    writer = EnvelopeWriter(Binding.KAFKA)
    async with AsyncExitStack() as stack:
        for broker in brokers:
            await stack.enter_async_context(started(service(url, kind(broker), seen, gaps)))
        first, second = await devices_of(stack, brokers)
        books = await stack.enter_async_context(SqlStore(url))

        async def send(device: Running, *numbers: int) -> None:
            await device.send(
                [writer.write(envelope(str(number)), "plain", None) for number in numbers]
            )

        async def laid(count: int) -> None:
            lot = await books.lot("plant")
            while [line.events for line in await lot.lines(10)] != [count]:
                await asyncio.sleep(0.01)

        await send(first, 1)
        await until(seen, 1)
        await send(second, 3)
        await laid(1)
        await send(first, 2)
        await until(seen, 3)
        await send(first, 6)
        await laid(1)
        await send(second, 4, 5)
        await until(seen, 6)

    assert seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", [Forgetful, MemoryBroker])
async def test_what_one_owner_has_parked_is_not_overtaken_by_what_another_holds(
    url: str, kind: type[MemoryBroker]
) -> None:
    """R10: the number is given up to the parked line, and what follows it waits behind."""
    seen, tries = list[int](), list[int]()
    park = Park(attempts=5, initial=timedelta(seconds=3), jitter=0)

    def fragile(broker: str) -> Service:
        plant = Service("plant", broker=kind(broker), store=url, retry=Retry(attempts=1))

        @plant.on(Plain, gaps=Gaps(policy="wait", patience=PATIENCE), on_failure=park)
        async def plain(event: Plain) -> None:
            tries.append(event.number)
            if tries.count(event.number) == 1 and event.number == 2:
                raise OSError
            seen.append(event.number)

        return plant

    brokers = [f"memory://{uuid4()}" for _ in range(2)]
    writer = EnvelopeWriter(Binding.KAFKA)
    async with AsyncExitStack() as stack:
        _, holder = [
            await stack.enter_async_context(started(fragile(broker))) for broker in brokers
        ]
        books = await stack.enter_async_context(SqlStore(url))
        assert holder.worker is not None
        first, second = await devices_of(stack, brokers)
        await second.send([writer.write(envelope("3"), "plain", None)])
        while not (await (await books.lot("plant")).lines(1) or kind is MemoryBroker):
            await asyncio.sleep(0.01)
        while not holder.worker.held and kind is MemoryBroker:
            await asyncio.sleep(0.01)

        await first.send([writer.write(envelope(number), "plain", None) for number in "12"])
        await until(seen, 3)

    assert seen == [1, 2, 3]
    assert tries == [1, 2, 2, 3]


async def test_what_one_owner_waits_for_without_end_may_be_what_another_has_handled(
    url: str,
) -> None:
    """R13: both wait at a broker that remembers, each with numbers that follow the other's."""
    seen = list[int]()
    brokers = [f"memory://{uuid4()}" for _ in range(2)]
    gaps = Gaps(policy="wait", patience=timedelta(milliseconds=10))
    writer = EnvelopeWriter(Binding.KAFKA)
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(started(service(url, broker, seen, gaps)))
            for broker in brokers
        ]
        devices = await devices_of(stack, brokers)
        for number in (6, 5, 4, 3, 2):
            message = writer.write(envelope(str(number)), "plain", None)
            await devices[number % 2].send([message])
        while [worker.worker and worker.worker.held for worker in workers] != [3, 2]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # patience is over, and nothing is decided any more

        await devices[1].send([writer.write(envelope("1"), "plain", None)])
        await until(seen, 6)

    assert seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("policy", ["wait", "park"])
async def test_two_owners_who_share_what_waits_in_the_store_keep_its_order(
    url: str, policy: Policy
) -> None:
    """R13: each is handed half of the numbers, and neither could let the stream go on alone."""
    seen = list[int]()
    kind = Forgetful if policy == "wait" else MemoryBroker
    brokers = [f"memory://{uuid4()}" for _ in range(2)]
    gaps = Gaps(policy=policy, patience=timedelta(milliseconds=200))
    writer, numbers = EnvelopeWriter(Binding.KAFKA), list(range(1, 61))
    Random(3).shuffle(numbers)
    async with AsyncExitStack() as stack:
        for broker in brokers:
            plant = service(url, kind(broker), seen, gaps)
            await stack.enter_async_context(started(plant))
        devices = await devices_of(stack, brokers)
        for place, number in enumerate(numbers):
            message = writer.write(envelope(str(number)), "plain", None)
            await devices[place % 2].send([message])
        while len(set(seen)) < len(numbers):
            await asyncio.sleep(0.01)

    assert list(dict.fromkeys(seen)) == sorted(numbers)

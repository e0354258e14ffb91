"""Stopping and losing streams: what runs is finished, what has not begun goes to somebody else."""

import asyncio
from collections import Counter
from datetime import timedelta

from choreo import Context, Retry, Service
from choreo.runner import started
from choreo_memory import MemoryBroker
from tests.failures.events import Placed
from tests.patience import patient

HOUR = timedelta(hours=1)


async def test_a_stop_finishes_what_runs_and_leaves_the_rest_to_the_next_a9() -> None:
    url = "memory://stop"
    keep = MemoryBroker(url)
    begun = asyncio.Event()
    release = asyncio.Event()
    handled: Counter[int] = Counter()

    def service() -> Service:
        shop = Service("shop", broker=url, concurrency=4)

        @shop.on(Placed)
        async def charge(order: Placed) -> None:
            begun.set()
            await release.wait()
            handled[order.number] += 1

        return shop

    first = service()
    async with started(first) as running:
        await first.publish_many([Placed(order=str(n), number=n) for n in range(50)])
        await begun.wait()
        asyncio.get_running_loop().call_soon(release.set)
    assert running.worker is not None
    assert running.worker.held == 0
    assert 1 <= len(handled) <= 50

    second = service()
    async with started(second) as again:
        assert again.worker is not None
        async with asyncio.timeout(patient(5)):
            while len(handled) < 50:
                await asyncio.sleep(0)

    assert handled == Counter(range(50))
    del keep


async def test_an_event_that_waits_for_a_retry_is_handed_over_again_after_a_stop() -> None:
    url = "memory://stop-retry"
    keep = MemoryBroker(url)
    failed = asyncio.Event()
    handled: list[str] = []
    broken = True

    def service() -> Service:
        shop = Service("shop", broker=url, retry=Retry(attempts=9, initial=HOUR, maximum=HOUR))

        @shop.on(Placed)
        async def charge(order: Placed) -> None:
            if broken:
                failed.set()
                raise OSError("not now")
            handled.append(order.order)

        return shop

    first = service()
    async with started(first):
        await first.publish(Placed(order="a"))
        await failed.wait()

    broken = False
    async with started(service()) as again:
        assert again.worker is not None
        async with asyncio.timeout(patient(5)):
            while not handled:
                await asyncio.sleep(0)

    assert handled == ["a"]
    del keep


async def test_a_member_that_joins_takes_over_without_a_second_run_of_anything_k5() -> None:
    url = "memory://rebalance"
    keep = MemoryBroker(url)
    handled: Counter[int] = Counter()
    last: dict[str, int] = {}
    inversions: list[tuple[str, int]] = []

    def service() -> Service:
        shop = Service("shop", broker=url, concurrency=8)

        @shop.on(Placed)
        async def charge(order: Placed, ctx: Context) -> None:
            for _ in range(order.number % 7):
                await asyncio.sleep(0)
            handled[order.number] += 1
            if last.get(order.order, -1) > order.number:
                inversions.append((order.order, order.number))
            last[order.order] = order.number

        return shop

    events = [Placed(order=str(n % 13), number=n) for n in range(2_000)]
    first, second, third = service(), service(), service()
    async with started(first):
        await first.publish_many(events[:1_000])
        async with started(second):
            await second.publish_many(events[1_000:])
            async with started(third):
                pass
        async with asyncio.timeout(patient(8)):
            while len(handled) < 2_000:
                await asyncio.sleep(0)

    assert handled == Counter(range(2_000))
    assert not inversions
    del keep


async def test_a_handler_that_outlives_the_drain_budget_is_cut_short_and_run_again() -> None:
    url = "memory://drain"
    keep = MemoryBroker(url)
    begun = asyncio.Event()
    ended: list[str] = []
    hang = True

    def service() -> Service:
        budget = timedelta(milliseconds=50)
        shop = Service("shop", broker=url, drain=budget, grace=budget)

        @shop.on(Placed)
        async def charge(order: Placed) -> None:
            begun.set()
            if hang:
                await asyncio.get_running_loop().create_future()
            ended.append(order.order)

        return shop

    first = service()
    async with started(first):
        await first.publish(Placed(order="a"))
        await begun.wait()

    hang = False
    async with started(service()):
        async with asyncio.timeout(patient(5)):
            while not ended:
                await asyncio.sleep(0)

    assert ended == ["a"]
    del keep

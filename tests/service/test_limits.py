"""How much a service takes on: never more than its limits, whatever waits at the broker."""

import asyncio
from datetime import timedelta

from choreo import Event, Retry, Service
from choreo.testing import Harness, ManualClock
from tests.patience import patient


class Placed(Event, topic="orders", key="order"):
    order: str
    filling: str = ""


async def test_no_more_handlers_run_at_once_than_allowed() -> None:
    shop = Service("shop", concurrency=7)
    running, most = 0, 0

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running -= 1

    async with Harness(shop) as world:
        await shop.publish_many([Placed(order=str(n)) for n in range(300)])
        await world.settle()

    assert most == 7


async def test_all_handlers_run_that_may_however_many_they_are() -> None:
    shop = Service("shop", concurrency=1_000)
    running, all_run = 0, asyncio.Event()

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        nonlocal running
        running += 1
        if running == 1_000:
            all_run.set()
        await all_run.wait()

    async with Harness(shop) as world:
        await shop.publish_many([Placed(order=str(n)) for n in range(1_000)])
        async with asyncio.timeout(patient(5)):
            await all_run.wait()
        await world.settle()

    assert len(world.handled(charge)) == 1_000


async def test_a_stuck_service_holds_no_more_than_its_limit_a7() -> None:
    shop = Service("shop", concurrency=3, prefetch=20, max_unsettled=50)
    release = asyncio.Event()

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        await release.wait()

    async with Harness(shop) as world:
        await shop.publish_many([Placed(order=str(n)) for n in range(2_000)])
        worker = world.running(shop).worker
        assert worker is not None
        for _ in range(200):
            await asyncio.sleep(0)
        assert 3 <= worker.held <= 20
        release.set()
        await world.settle()

    assert len(world.handled(charge)) == 2_000


async def test_events_behind_one_stuck_key_are_bounded_and_other_keys_go_on_r9() -> None:
    shop = Service("shop", concurrency=3, prefetch=20, max_unsettled=50)
    release = asyncio.Event()
    done: set[str] = set()

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        if order.order == "stuck":
            await release.wait()
        done.add(order.order)

    async with Harness(shop) as world:
        orders = [Placed(order="stuck")]
        for n in range(40):
            orders += [Placed(order="stuck"), Placed(order=str(n))]
        await shop.publish_many(orders)
        worker = world.running(shop).worker
        assert worker is not None
        async with asyncio.timeout(patient(5)):
            while len(done) < 40:
                await asyncio.sleep(0)
                assert worker.held <= 50
        release.set()
        await world.settle()


async def test_bytes_are_bounded_too() -> None:
    shop = Service("shop", prefetch=10, max_unsettled_bytes=50_000)
    release = asyncio.Event()

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        await release.wait()

    async with Harness(shop) as world:
        await shop.publish_many([Placed(order=str(n), filling="x" * 10_000) for n in range(100)])
        worker = world.running(shop).worker
        assert worker is not None
        for _ in range(200):
            await asyncio.sleep(0)
        assert worker.held <= 15
        release.set()
        await world.settle()

    assert len(world.handled(charge)) == 100


async def test_keys_that_fail_do_not_use_up_what_others_need() -> None:
    retry = Retry(attempts=3, initial=timedelta(hours=1), maximum=timedelta(hours=1))
    # Without outage_keys=0 a hundred keys that fail alike are an outage, and no poison.
    shop = Service(
        "shop", retry=retry, concurrency=2, prefetch=10, max_unsettled=500, outage_keys=0
    )
    good: list[str] = []

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        if order.order.startswith("bad"):
            raise OSError("down")
        good.append(order.order)

    async with Harness(shop, clock=ManualClock()) as world:
        orders = [Placed(order=f"bad{n}") for n in range(100)]
        orders += [Placed(order=f"good{n}") for n in range(100)]
        await shop.publish_many(orders)
        async with asyncio.timeout(patient(5)):
            while len(good) < 100:
                await asyncio.sleep(0)
        assert not world.dead_letters
        await world.settle()

    assert len(world.dead_letters) == 100

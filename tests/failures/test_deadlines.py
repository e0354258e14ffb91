"""Handlers that hang, cannot be killed, or leave something behind."""

import asyncio
import logging
import threading
from contextvars import ContextVar
from datetime import timedelta
from decimal import Decimal

import pytest

from choreo import Context, Retry, Service
from choreo.reason import Reason
from choreo.testing import Harness, ManualClock
from tests.failures.events import Placed

SECOND = timedelta(seconds=1)
ONCE = Retry(attempts=1)


async def test_a_handler_past_its_deadline_is_cancelled_and_tried_again_k12() -> None:
    shop = Service("shop", retry=Retry(attempts=2), deadline=SECOND)
    begun = asyncio.Event()
    cancelled: list[int] = []

    @shop.on(Placed)
    async def charge(_: Placed, ctx: Context) -> None:
        if ctx.attempt == 1:
            begun.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                cancelled.append(ctx.attempt)
                raise

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await begun.wait()
        await world.advance(2 * SECOND)
        await world.settle()

    assert cancelled == [1]
    assert world.handled(charge) == [Placed(order="a")]


async def test_a_handler_that_always_hangs_ends_in_the_dead_letters() -> None:
    shop = Service("shop", retry=ONCE, deadline=SECOND)
    begun = asyncio.Event()

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await begun.wait()
        await world.advance(2 * SECOND)
        await world.settle()

    (letter,) = world.dead_letters
    assert letter.reason is Reason.TIMEOUT


async def test_a_handler_that_swallows_its_cancellation_is_abandoned_and_fenced_a2(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Service("shop", retry=Retry(attempts=5), deadline=SECOND, grace=SECOND, concurrency=1)
    begun, release, returned = asyncio.Event(), asyncio.Event(), asyncio.Event()
    runs: list[tuple[int, int]] = []

    @shop.on(Placed, publishes=[Placed])
    async def charge(order: Placed, ctx: Context) -> Placed | None:
        runs.append((order.number, ctx.attempt))
        if order.number:
            return None
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        returned.set()
        return Placed(order="late", number=7)

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.publish(Placed(order="a", number=1))
        await begun.wait()
        for _ in range(4):
            await world.advance(SECOND)
        await world.settle()

        assert runs == [(0, 1), (1, 1)]
        assert [letter.reason for letter in world.dead_letters] == [Reason.TIMEOUT]

        release.set()
        await returned.wait()
        await world.settle()

    assert Placed(order="late", number=7) not in world.published(Placed)
    assert "abandoned" in caplog.text


async def test_a_thread_past_its_deadline_holds_its_key_until_it_returns_a6(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Service("shop", retry=ONCE, deadline=SECOND)
    release = threading.Event()
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()
    running: list[int] = []
    overlaps: list[int] = []

    @shop.on(Placed)
    def charge(order: Placed) -> None:
        running.append(order.number)
        if len(running) > 1:
            overlaps.append(order.number)
        loop.call_soon_threadsafe(begun.set)
        if order.number == 0:
            release.wait(5)
        running.remove(order.number)

    async with Harness(shop, clock=ManualClock()) as world:
        for number in (0, 1):
            await world.publish(Placed(order="a", number=number))
        await begun.wait()
        await world.advance(5 * SECOND)
        assert running == [0]
        assert "past its deadline" in caplog.text
        release.set()
        await world.settle()

    assert not overlaps
    assert [order.number for order in world.handled(charge)] == [0, 1]


leaky: ContextVar[str] = ContextVar("leaky", default="clean")


async def test_nothing_a_handler_sets_leaks_into_the_next_event_a10() -> None:
    shop = Service("shop", concurrency=1)
    seen: list[str] = []

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        seen.append(leaky.get())
        leaky.set(order.order)
        assert Decimal(1) / Decimal(3)

    async with Harness(shop) as world:
        for number in range(20):
            await world.publish(Placed(order=str(number)))
        await world.settle()

    assert seen == ["clean"] * 20


async def test_a_busy_handler_lets_the_loop_breathe_k11() -> None:
    shop = Service("shop", concurrency=1)
    turns = 0
    stop = False

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        deadline = asyncio.get_running_loop().time() + 0.005
        while asyncio.get_running_loop().time() < deadline:
            pass

    async def breathe() -> None:
        nonlocal turns
        while not stop:
            turns += 1
            await asyncio.sleep(0)

    async with Harness(shop) as world:
        task = asyncio.create_task(breathe())
        await shop.publish_many([Placed(order=str(number)) for number in range(40)])
        turns = 0
        await world.settle()
        stop = True
        await task

    assert turns >= 5


async def test_log_records_of_failures_name_event_and_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Service("shop", retry=ONCE)

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        raise OSError("broken pipe")

    with caplog.at_level(logging.WARNING):
        async with Harness(shop) as world:
            identity = await world.publish(Placed(order="a"))
            await world.settle()

    records = [record for record in caplog.records if getattr(record, "event_id", None) == identity]
    assert records
    assert getattr(records[0], "handler", None) == "charge"

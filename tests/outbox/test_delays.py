"""What handlers' authors are promised of ``delay=``: from the call to the event on the broker."""

import asyncio
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from choreo import Context, Event, Retry, Service
from choreo.clock import SystemClock
from choreo.delivery.job import Outcome
from choreo.errors import ConfigurationError
from choreo.middleware import Call
from choreo.outbox import Outbox
from choreo.testing import Harness, ManualClock
from tests.patience import patient

HOUR = timedelta(hours=1)
HASTY = Retry(attempts=3, initial=timedelta(milliseconds=1), maximum=timedelta(milliseconds=1))


class Placed(Event, topic="orders", key="order"):
    order: str


class Reminded(Event, topic="reminders", key="order"):
    order: str
    number: int = 0


class Ahead(SystemClock):
    """The clock of a process that is two hours ahead."""

    def now(self) -> datetime:
        """Tell the wrong time."""
        return super().now() + 2 * HOUR


class Shop:
    """A service that reminds of every order, as it is told."""

    def __init__(self, store: str | None, *delays: timedelta | None) -> None:
        self.service = Service("shop", store=store, retry=HASTY)
        self.delays = delays
        self.failing = 0
        self.ids: list[list[str]] = []
        self.seen: list[tuple[str, int]] = []
        self.times: list[float] = []
        self.contexts: list[Context] = []
        self.service.on(Placed, publishes=[Reminded])(self.place)
        self.service.on(Reminded)(self.remind)

    async def place(self, placed: Placed, ctx: Context) -> None:
        """Emit one reminder for each delay, numbered from 0."""
        self.times.append(time.time())
        reminders = [Reminded(order=placed.order, number=n) for n in range(len(self.delays))]
        delayed = zip(reminders, self.delays, strict=True)
        self.ids.append([await ctx.publish(one, delay=delay) for one, delay in delayed])
        if self.failing:
            self.failing -= 1
            raise ConnectionError

    async def remind(self, reminded: Reminded, ctx: Context) -> None:
        """Remember what came, and when."""
        self.times.append(time.time())
        self.contexts.append(ctx)
        self.seen.append((reminded.order, reminded.number))


async def test_a_timer_fires_when_the_clock_of_the_world_is_moved_on() -> None:
    shop = Shop("memory://", HOUR)
    async with Harness(shop.service, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        await world.advance(HOUR - timedelta(microseconds=2))
        early = list(shop.seen)
        await world.advance(timedelta(microseconds=2))

        assert (early, shop.seen) == ([], [("a", 0)])
        assert world.published(Reminded) == [Reminded(order="a")]


async def test_settling_neither_waits_for_timers_nor_moves_the_clock_to_them() -> None:
    shop = Shop("memory://", HOUR, None)
    clock = ManualClock()
    async with Harness(shop.service, clock=clock) as world:
        before = clock.now()
        await world.publish(Placed(order="a"))
        await world.settle()

        assert clock.now() == before
        assert shop.seen == [("a", 1)]
        assert len(world.emitted_by(shop.place)) == 2


async def test_a_month_passes_in_no_time() -> None:
    shop = Shop("memory://", timedelta(days=30))
    async with Harness(shop.service, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        began = time.monotonic()
        await world.advance(timedelta(days=30))

        assert shop.seen == [("a", 0)]
        assert time.monotonic() - began < 5


async def test_of_two_delayed_events_of_one_key_the_first_that_is_due_goes_first() -> None:
    shop = Shop("memory://", 3 * HOUR, HOUR, None, 2 * HOUR)
    async with Harness(shop.service, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        await world.advance(3 * HOUR)

        assert [number for _, number in shop.seen] == [2, 1, 3, 0]


async def test_a_delayed_event_is_caused_by_its_handlers_event_and_bears_its_due_time() -> None:
    shop = Shop("memory://", HOUR)
    clock = ManualClock()
    async with Harness(shop.service, clock=clock) as world:
        began = clock.now()
        cause = await world.publish(Placed(order="a"))
        await world.settle()
        await world.advance(HOUR)

        (ctx,) = shop.contexts
        assert (ctx.causation_id, ctx.correlation_id) == (cause, cause)
        assert ctx.time == began + HOUR
        assert [ctx.id] == shop.ids[0]


async def test_a_handler_run_twice_makes_one_timer() -> None:
    """S2: ids are derived, and what a failed attempt emitted is gone."""
    shop = Shop("memory://", HOUR)
    shop.failing = 2
    async with Harness(shop.service, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        await world.advance(2 * HOUR)

        assert len(shop.ids) == 3
        assert len({tuple(ids) for ids in shop.ids}) == 1
        assert shop.seen == [("a", 0)]


async def test_a_failed_handler_leaves_no_timer() -> None:
    """S1."""
    shop = Shop("memory://", HOUR)
    shop.failing = 3
    async with Harness(shop.service, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        await world.advance(2 * HOUR)

        assert len(world.dead_letters) == 1
        assert shop.seen == []


async def test_a_middleware_that_calls_again_leaves_the_delays_of_the_last_call() -> None:
    shop = Shop("memory://", HOUR)
    shop.failing = 1

    async def twice(ctx: Context, call: Call) -> None:
        try:
            await call(ctx)
        except ConnectionError:
            shop.delays = (None,)
            await call(ctx)

    again = Service("shop", store="memory://", middleware=[twice])
    again.on(Placed, publishes=[Reminded])(shop.place)
    again.on(Reminded)(shop.remind)
    async with Harness(again, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

        assert shop.seen == [("a", 0)]


async def test_without_a_store_a_delay_fails_at_once_and_says_what_to_do() -> None:
    shop = Shop(None, HOUR)
    async with Harness(shop.service) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

        (failure,) = world.failures
        assert isinstance(failure.error, ConfigurationError)
        assert "give it store='sqlite:///…'" in str(failure.error)
        assert world.outcomes(shop.place) == Counter({Outcome.DEAD_LETTERED: 1})


@pytest.mark.parametrize(
    ("delay", "error", "what"),
    [
        (5, TypeError, "delay=5: give a timedelta"),
        (timedelta(0), ValueError, "give more than nothing"),
        (timedelta(seconds=-1), ValueError, "give more than nothing"),
        (timedelta.max, ValueError, "365000 days"),
    ],
)
async def test_a_delay_that_delays_nothing_is_refused_where_it_is_given(
    delay: timedelta, error: type[Exception], what: str, tmp_path: Path
) -> None:
    shop = Shop("memory://", delay)
    outbox = Outbox(Service("shop", store=f"sqlite:///{tmp_path}/shop.db"))
    async with Harness(shop.service) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
    with pytest.raises(error, match=what):
        outbox.add_sync(object(), Placed(order="a"), delay=delay)

    assert isinstance(world.failures[0].error, error)
    assert what in str(world.failures[0].error)


async def test_a_delayed_event_is_soon_and_not_early(any_url: str) -> None:
    """On each store's own clock, through the whole service; a busy machine may keep one waiting."""
    shop = Shop(any_url, timedelta(seconds=0.3))
    async with Harness(shop.service) as world:
        for number in range(1, 4):
            await world.publish(Placed(order="a"))
            async with asyncio.timeout(patient(8)):
                while len(shop.seen) < number:
                    await asyncio.sleep(0.002)

    took = [fired - placed for placed, fired in zip(shop.times[::2], shop.times[1::2], strict=True)]
    assert min(took) >= 0.3
    assert min(took) < 0.6


async def test_timers_outlive_the_service_and_go_out_in_order_after_it_was_away(url: str) -> None:
    shop = Shop(url, timedelta(seconds=0.6), timedelta(seconds=0.5), timedelta(seconds=0.4))
    async with Harness(shop.service) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
    assert shop.seen == []
    await asyncio.sleep(0.6)

    back = Shop(url)
    async with Harness(back.service):
        async with asyncio.timeout(patient(5)):
            while len(back.seen) < 3:
                await asyncio.sleep(0.002)

    assert back.seen == [("a", 2), ("a", 1), ("a", 0)]
    assert min(back.times) - shop.times[0] >= 0.6


async def test_a_process_whose_clock_is_wrong_fires_neither_early_nor_late(url: str) -> None:
    """A11, S5: one replica is two hours ahead; the database decides."""
    shop = Shop(url, HOUR, timedelta(seconds=0.3))
    async with Harness(shop.service, clock=Ahead()) as world:
        await world.publish(Placed(order="a"))
        async with asyncio.timeout(patient(5)):
            while not shop.seen:
                await asyncio.sleep(0.002)
        await world.settle()

    assert shop.seen == [("a", 1)]
    assert 0.3 <= shop.times[1] - shop.times[0] < 0.3 + patient(2)  # and not two hours


async def test_an_application_adds_with_a_delay(url: str) -> None:
    shop = Shop(url)
    driver = url.partition("?")[0].replace("sqlite:", "sqlite+aiosqlite:")
    engine = create_async_engine(driver.replace("postgresql:", "postgresql+asyncpg:"))
    async with Harness(shop.service):
        outbox = Outbox(shop.service)
        before = time.time()
        async with AsyncSession(engine) as session:
            await outbox.add(session, Reminded(order="gone"), delay=timedelta(seconds=0.1))
            await session.rollback()
            await outbox.add(session, Reminded(order="a"), delay=timedelta(seconds=0.3))
            await session.commit()
        async with asyncio.timeout(patient(5)):
            while not shop.seen:
                await asyncio.sleep(0.002)
    await engine.dispose()

    assert shop.seen == [("a", 0)]
    assert shop.times[0] - before >= 0.3

"""``settle`` returns when everything has come to its end, and not before."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import pytest

from choreo import Event, Message, Retry, RetryLater, Service
from choreo.errors import ConfigurationError
from choreo.testing import Harness, ManualClock, NotSettledError
from tests.harness.shop import Booked, Placed, Shop, Taken

SHORT = timedelta(milliseconds=50)
DAY = 24 * 3600.0


async def test_a_chain_of_events_has_ended_when_settle_returns() -> None:
    shop = Shop()

    async with Harness(shop.payments, shop.books) as world:
        await world.publish(Placed(order=1))
        await world.settle()

        assert world.published(Taken) == [Taken(order=1)]
        assert world.published(Booked) == [Booked(order=1)]


async def test_settle_returns_at_once_when_nothing_was_published() -> None:
    async with Harness(Shop().payments) as world:
        await world.settle()


async def test_settle_moves_a_manual_clock_to_each_retry() -> None:
    shop, clock = Shop(), ManualClock()

    async with Harness(shop.payments, shop.books, clock=clock) as world:
        await world.publish(Placed(order=1, fail=3))
        await world.settle()

        assert shop.attempts == {1: 4}
        assert world.published(Taken) == [Taken(order=1)]
        assert clock.monotonic() == pytest.approx(3 * 3600, rel=0.11)


async def test_settle_waits_for_retries_in_real_time() -> None:
    events: list[int] = []
    hasty = Service("hasty")

    @hasty.on(Placed, retry=Retry(attempts=3, initial=timedelta(milliseconds=1)))
    async def fail_twice(placed: Placed) -> None:
        events.append(placed.order)
        if len(events) < 3:
            raise ConnectionError

    async with Harness(hasty) as world:
        await world.publish(Placed(order=1))
        await world.settle()

    assert events == [1, 1, 1]


async def test_what_is_in_flight_when_time_is_up_is_named() -> None:
    shop = Shop()
    shop.gate.clear()

    async with Harness(shop.payments, clock=ManualClock()) as world:
        identity = await world.publish(Placed(order=1))

        with pytest.raises(NotSettledError) as stuck:
            await world.settle(within=SHORT)
        assert f"payments holds Placed.v1 {identity} from 'orders'" in str(stuck.value)

        shop.gate.set()
        await world.settle()
        assert world.handled(shop.charge) == [Placed(order=1)]


async def test_the_latest_failure_of_what_is_in_flight_is_named() -> None:
    shop = Shop()

    async with Harness(shop.payments) as world:  # real time: the retry is an hour away
        await world.publish(Placed(order=1, fail=1))

        with pytest.raises(NotSettledError, match=r"charge failed attempt 1.*ConnectionError"):
            await world.settle(within=SHORT)


async def test_a_handler_in_a_thread_is_waited_for_with_a_manual_clock() -> None:
    shop = Shop()

    async with Harness(shop.books, clock=ManualClock()) as world:
        for order in range(20):
            await world.publish(Taken(order=order))
        await world.settle()

        assert len(world.handled(shop.book)) == 20


async def test_months_of_asking_for_later_pass_in_no_time() -> None:
    clock = ManualClock()
    patient = Service("patient")
    asked: list[float] = []

    @patient.on(Placed)
    async def wait(placed: Placed) -> None:
        asked.append(clock.monotonic())
        if len(asked) < 3:
            raise RetryLater(timedelta(days=100))

    async with Harness(patient, clock=clock) as world:
        await world.publish(Placed(order=1))
        await world.settle()

    assert asked == [0.0, 100 * DAY, 200 * DAY]


async def test_a_service_at_rest_sets_no_timers() -> None:
    clock = ManualClock()

    async with Harness(Shop().payments, clock=clock) as world:
        await world.publish(Placed(order=1))
        await world.settle()
        await world.advance(timedelta(seconds=1))

        assert clock.next_due is None


async def test_events_published_while_services_start_are_waited_for() -> None:
    shop = Shop()

    async with Harness(announcer(), shop.payments, shop.books) as world:
        await world.settle()

        assert world.published(Booked) == [Booked(order=1)]


async def test_what_a_service_comes_too_late_for_is_not_waited_for() -> None:
    late = Service("late", start="latest")
    seen: list[int] = []

    @late.on(Placed)
    async def note(placed: Placed) -> None:
        seen.append(placed.order)

    async with Harness(announcer(), late) as world:
        await world.publish(Placed(order=2))
        await world.settle()

    assert seen == [2]


async def test_what_ends_a_services_consumption_is_raised() -> None:
    shop = Shop()

    async with Harness(shop.payments) as world:
        worker = world.running(shop.payments).worker
        assert worker is not None
        shop.gate.clear()
        await world.publish(Placed(order=1))
        worker.crashed(RuntimeError("a bug of ours"))

        with pytest.raises(RuntimeError, match="a bug of ours"):
            await world.settle()
        shop.gate.set()


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_unsettled_after_settle_whatever_the_choreography(seed: int) -> None:
    random = Random(seed)
    clock = ManualClock()
    services = [relay(f"relay-{number}", random) for number in range(4)]

    async with Harness(*services, clock=clock) as world:
        for order in range(10):
            await world.publish(Hop(order=order, left=random.randrange(5)))
        await world.settle()

        for service in services:
            running = world.running(service)
            assert running.worker is not None
            assert running.consumer is not None
            assert running.worker.held == 0
            assert all(p.settled == p.end for p in running.consumer.progress())


async def test_a_manual_clock_is_refused_where_it_moves_nothing() -> None:
    with pytest.raises(ConfigurationError, match="ManualClock"):
        Harness(Shop().payments, broker="kafka://localhost:9092", clock=ManualClock())


async def test_messages_that_nobody_subscribes_to_are_not_waited_for() -> None:
    async with Harness(Shop().payments) as world:
        await world.send(Message("elsewhere", b"{}"))
        await world.settle()


def announcer() -> Service:
    """Make a service that places order 1 as soon as it can, before those behind it are up."""

    @asynccontextmanager
    async def announce(service: Service) -> AsyncGenerator[None]:
        await service.publish(Placed(order=1))
        yield

    return Service("announcer", lifespan=announce)


class Hop(Event, topic="hops", key="order"):
    order: int
    left: int


def relay(name: str, random: Random) -> Service:
    """Make a service that passes hops on, fails now and then, and gives some up."""
    service = Service(name, retry=Retry(attempts=3))

    @service.on(Hop, when=lambda hop: hop.left > 0)
    async def passing(hop: Hop) -> list[Hop]:
        for _ in range(random.randrange(3)):
            await asyncio.sleep(0)
        if random.random() < 0.2:
            raise ConnectionError
        return [hop.model_copy(update={"left": hop.left - 1})] * random.randrange(2)

    @service.on(Hop)
    def watching(hop: Hop) -> None:
        if hop.order == 3:
            raise ValueError(hop)

    return service

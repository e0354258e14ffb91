"""Ordered recovery through a whole service: what fails waits in the store, its key behind it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from choreo import Context, Event, Reject, Retry, Service
from choreo.broker import Capabilities
from choreo.delivery.job import Outcome
from choreo.delivery.parking import Fate, decide
from choreo.errors import ConfigurationError, HandlerHalted
from choreo.gaps import Gaps
from choreo.park import Park
from choreo.plan import OnFailure
from choreo.reason import Reason
from choreo.runner import started
from choreo.store.memory import MemoryStore
from choreo.testing import Harness, ManualClock
from choreo_memory import MemoryBroker
from tests.order.events import Reading

SECOND = timedelta(seconds=1)
SOON = Park(attempts=3, initial=10 * SECOND, jitter=0)


class Order(Event, topic="orders", key="key"):
    key: str
    number: int


class Shop:
    """A service whose handler fails as long as something is in the way."""

    def __init__(self, park: Park, clock: ManualClock, retries: int = 1) -> None:
        self.clock = clock
        self.store = MemoryStore(clock=clock)
        self.service: Service[Any] = Service(
            "shop", store=self.store, retry=Retry(attempts=retries, initial=SECOND, jitter=0)
        )
        self.broken: Callable[[Order], BaseException | None] = lambda _: None
        self.seen: list[tuple[str, int]] = []
        self.tried: list[tuple[float, int, int]] = []

        @self.service.on(Order, on_failure=park)
        async def handle(event: Order, ctx: Context) -> None:
            self.tried.append((clock.monotonic(), event.number, ctx.attempt))
            if (error := self.broken(event)) is not None:
                raise error
            self.seen.append((event.key, event.number))

        self.handle = handle

    def world(self) -> Harness:
        """Make a world of it alone."""
        return Harness(self.service, clock=self.clock)


@pytest.fixture
def shop() -> Shop:
    return Shop(SOON, ManualClock())


def broken_key(event: Order) -> BaseException | None:
    return OSError("down") if event.key == "bad" and event.number == 1 else None


async def publish(world: Harness, key: str, *numbers: int) -> None:
    for number in numbers:
        await world.publish(Order(key=key, number=number))


async def test_a_failed_event_and_its_keys_later_ones_wait_and_others_go_on(shop: Shop) -> None:
    shop.broken = broken_key

    async with shop.world() as world:
        await publish(world, "bad", 1, 2)
        await publish(world, "good", 1, 2)
        await world.settle()
        await publish(world, "bad", 3)
        await world.settle()

        assert shop.seen == [("good", 1), ("good", 2)]
        assert world.outcomes(shop.handle) == {Outcome.PARKED: 3, Outcome.HANDLED: 2}
        assert world.running(shop.service).worker.held == 0  # type: ignore[union-attr]  # it consumes
        shop.broken = lambda _: None
        await world.advance(11 * SECOND)
        await world.settle()
        await publish(world, "bad", 4)
        await world.settle()

        assert not world.dead_letters
    assert shop.seen[2:] == [("bad", 1), ("bad", 2), ("bad", 3), ("bad", 4)]


async def test_it_is_tried_again_when_it_is_due_and_never_early(shop: Shop) -> None:
    shop.broken = broken_key

    async with shop.world() as world:
        await publish(world, "bad", 1, 2)
        await world.settle()
        for _ in range(200):
            await world.advance(SECOND)

    moments = [moment for moment, number, _ in shop.tried if number == 1]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert [round(gap) for gap in gaps] == [10, 20, 40]
    assert all(gap >= exact for gap, exact in zip(gaps, (10, 20, 40), strict=True))
    assert not shop.seen


async def test_after_a_fix_and_a_restart_what_is_held_is_handled_in_order(shop: Shop) -> None:
    shop.broken = broken_key
    async with shop.world() as world:
        await publish(world, "bad", 1, 2, 3)
        await world.settle()
        await world.advance(200 * SECOND)
    tries = len(shop.tried)

    shop.broken = lambda _: None
    async with shop.world() as world:
        await world.advance(SECOND)

    assert shop.seen == [("bad", 1), ("bad", 2), ("bad", 3)]
    assert shop.tried[tries][1:] == (1, 5)  # attempts go on counting (D13)


@pytest.mark.parametrize(("then", "seen", "letters"), [("skip", [2, 3], 1), ("dead_letter", [], 3)])
async def test_what_never_succeeds_is_skipped_or_buried_with_its_whole_line(
    then: str, seen: list[int], letters: int
) -> None:
    park = Park(
        attempts=2, initial=SECOND, jitter=0, then="skip" if then == "skip" else "dead_letter"
    )
    shop = Shop(park, ManualClock())
    shop.broken = broken_key

    async with shop.world() as world:
        await publish(world, "bad", 1, 2, 3)
        await world.settle()
        for _ in range(10):
            await world.advance(SECOND)
        await publish(world, "bad", 4)
        await world.settle()

        assert len(world.dead_letters) == letters
        assert {letter.reason for letter in world.dead_letters} == {Reason.RETRIES_EXHAUSTED}
    assert [number for _, number in shop.seen] == [*seen, 4]


async def test_what_no_handler_mends_is_buried_at_once(shop: Shop) -> None:
    shop.broken = lambda event: Reject("never") if event.number == 1 else None

    async with shop.world() as world:
        await publish(world, "bad", 1, 2)
        await world.settle()

        assert [letter.reason for letter in world.dead_letters] == [Reason.REJECTED]
    assert shop.seen == [("bad", 2)]


async def test_a_parked_event_that_comes_again_is_handled_once(shop: Shop) -> None:
    """Its process had died before the broker heard that it is parked."""
    shop.broken = broken_key

    async with shop.world() as world:
        await publish(world, "bad", 1, 2)
        await world.settle()
        copies = [message for message in world.messages if message.topic == "orders"]
        await world.send(*copies)
        await world.settle()
        shop.broken = lambda _: None
        await world.advance(11 * SECOND)
        await world.send(*copies)
        await world.settle()

    assert shop.seen == [("bad", 1), ("bad", 2)]


async def test_numbered_events_are_parked_and_followed_in_order() -> None:
    """R10: the stream goes on into the lot, and the next number does not wait for ever."""
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    shop = Service("shop", store=store, retry=Retry(attempts=1))
    seen: list[int] = []
    broken = True

    @shop.on(Reading, gaps=Gaps(policy="wait"), on_failure=SOON)
    async def read(event: Reading) -> None:
        if broken and event.number == 2:
            raise OSError
        seen.append(event.number)

    async with Harness(shop, clock=clock) as world:
        for number in (3, 1, 2):
            await world.publish(Reading(sensor="a", number=number))
        await world.settle()
        for number in (5, 4):
            await world.publish(Reading(sensor="a", number=number))
        await world.settle()
        assert seen == [1]
        broken = False
        await world.advance(11 * SECOND)
        await world.publish(Reading(sensor="a", number=6))
        await world.settle()

        assert not world.dead_letters
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_what_parks_needs_a_store() -> None:
    shop = Service("shop")

    @shop.on(Order, on_failure="park")
    async def handle(event: Order) -> None: ...

    with pytest.raises(ConfigurationError, match=r"handle.*store="):
        async with Harness(shop):
            pass


class Elsewhere(MemoryBroker):
    """A broker that goes on when this process does not."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, in_process=False)


@pytest.mark.parametrize("parks", ["what fails", "what is behind a gap"])
async def test_what_parks_needs_a_store_that_lives_as_long_as_its_broker(parks: str) -> None:
    """D1: the broker would believe that the event is done, and nobody would have it."""
    shop = Service("shop", broker=Elsewhere("memory://"), store="memory://")

    @shop.on(
        Reading,
        on_failure="park" if parks == "what fails" else "dead_letter",
        gaps=Gaps(policy="wait" if parks == "what fails" else "park"),
    )
    async def handle(event: Reading) -> None: ...

    with pytest.raises(ConfigurationError, match=f"handle.*parks {parks}.*outlives the process"):
        async with started(shop):
            pass


@pytest.mark.parametrize(
    ("on_failure", "seen"), [("dead_letter", [1, 3, 4]), (SOON, [1]), ("park", [1])]
)
async def test_a_poison_in_the_middle_is_passed_or_waited_for_as_the_handler_says(
    on_failure: OnFailure | Park, seen: list[int]
) -> None:
    """R10: no number waits for one that is in the dead letters, and none passes a parked one."""
    clock = ManualClock()
    shop = Service("shop", store=MemoryStore(clock=clock), retry=Retry(attempts=1))
    handled: list[int] = []

    @shop.on(Reading, gaps=Gaps(policy="wait"), on_failure=on_failure)
    async def read(event: Reading) -> None:
        if event.number == 2:
            raise OSError("poison")
        handled.append(event.number)

    async with Harness(shop, clock=clock) as world:
        for number in (4, 2, 3, 1):
            await world.publish(Reading(sensor="a", number=number))
        await world.settle()
        await world.advance(SECOND)

        assert handled == seen
        assert len(world.dead_letters) == (on_failure == "dead_letter")


async def test_a_handler_that_halts_stops_its_service_before_the_event() -> None:
    shop = Service("shop", retry=Retry(attempts=1))
    seen: list[int] = []

    @shop.on(Order, on_failure="halt")
    async def handle(event: Order) -> None:
        if event.number == 2:
            raise OSError("not past this one")
        seen.append(event.number)

    async with Harness(shop, clock=ManualClock()) as world:
        await publish(world, "a", 1, 2, 3)
        with pytest.raises(HandlerHalted, match="handle halts at event"):
            await world.settle()

    assert seen == [1]
    assert not world.dead_letters


def test_the_rule_waits_longer_each_time_and_then_does_as_told() -> None:
    fates = [decide(SOON, failed, Random(1)) for failed in range(4)]

    assert [fate.delay for fate in fates] == [10, 20, 40, 0]
    assert fates[-1].fate is Fate.HOLD

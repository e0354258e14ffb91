"""Numbered events through a whole service: in order, whatever the broker makes of them."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from random import Random

import pytest

from choreo import Context, Event, Retry, Service
from choreo.broker import Binding
from choreo.cloudevents import EnvelopeWriter
from choreo.delivery.job import Outcome
from choreo.errors import ConfigurationError
from choreo.gaps import Gaps
from choreo.message import Message
from choreo.reason import Reason
from choreo.resend import ResendRequested
from choreo.runner import started
from choreo.sequences import gaps_of
from choreo.testing import Harness, ManualClock
from tests.order.events import Plain, Reading, envelope

SECOND = timedelta(seconds=1)


def service(store: str | None = None, gaps: Gaps | None = None) -> tuple[Service, list[int]]:
    shop = Service("shop", store=store, retry=Retry(attempts=1))
    seen: list[int] = []

    @shop.on(Reading, gaps=gaps)
    async def read(event: Reading) -> None:
        seen.append(event.number)

    return shop, seen


def message(number: str | None, epoch: str | None = None, identity: str | None = None) -> Message:
    sent = envelope(number, epoch=epoch, identity=identity)
    return EnvelopeWriter(Binding.KAFKA).write(sent, "plain", None)


@pytest.fixture(params=[None, "memory://"])
def store(request: pytest.FixtureRequest) -> str | None:
    kept: str | None = request.param
    return kept


@pytest.mark.parametrize("order", list(permutations(range(1, 5))))
async def test_events_are_handled_in_the_order_of_their_numbers(order: Sequence[int]) -> None:
    shop, seen = service()

    async with Harness(shop, clock=ManualClock()) as world:
        for number in order:
            await world.publish(Reading(sensor="a", number=number))
        await world.settle()

    assert seen == [1, 2, 3, 4]


async def test_streams_do_not_wait_for_each_other(store: str | None) -> None:
    shop, seen = service(store)

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Reading(sensor="a", number=2))
        for number in (1, 2, 3):
            await world.publish(Reading(sensor="b", number=number))
        await world.advance(SECOND)
        assert seen == [1, 2, 3]
        await world.publish(Reading(sensor="a", number=1))
        await world.settle()

    assert seen == [1, 2, 3, 1, 2]


async def test_a_gap_is_given_up_after_patience_and_what_comes_then_is_late(
    store: str | None,
) -> None:
    """R1, R6."""
    shop, seen = service(store, Gaps(policy="skip", patience=10 * SECOND))

    async with Harness(shop, clock=ManualClock()) as world:
        for number in (1, 3, 4):
            await world.publish(Reading(sensor="a", number=number))
        await world.advance(9.9 * SECOND)
        assert seen == [1]
        await world.settle()
        assert seen == [1, 3, 4]
        await world.publish(Reading(sensor="a", number=2))
        await world.publish(Reading(sensor="a", number=5))
        await world.settle()

        (letter,) = world.dead_letters
    assert seen == [1, 3, 4, 5]
    assert letter.reason is Reason.SEQUENCE_LATE


@pytest.mark.parametrize(("late", "expected"), [("handle", [2, 1]), ("drop", [2])])
async def test_a_handler_may_take_or_drop_what_is_late(
    late: str, expected: list[int], store: str | None
) -> None:
    gaps = Gaps(late="handle" if late == "handle" else "drop", patience=SECOND)
    shop, seen = service(store, gaps)

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Reading(sensor="a", number=2))
        await world.settle()
        await world.publish(Reading(sensor="a", number=1))
        await world.settle()
        assert not world.dead_letters

    assert seen == expected


async def test_a_copy_of_what_was_handled_is_a_duplicate_and_not_late(store: str | None) -> None:
    """R6, I4: also while the first is held back."""
    shop = Service("shop", store=store)

    @shop.on(Plain, gaps=Gaps(patience=SECOND))
    async def read(event: Plain) -> None: ...

    async with Harness(shop, clock=ManualClock()) as world:
        for number in ("2", "2", "1", "1", "2"):
            await world.send(message(number))
        await world.settle()
        await world.send(message("1"), message("2"))
        await world.settle()

        assert world.outcomes(read) == {Outcome.HANDLED: 2, Outcome.DUPLICATE: 5}
        assert not world.dead_letters


async def test_what_has_no_believable_number_is_quarantined_and_holds_nobody_up(
    store: str | None,
) -> None:
    """R7."""
    shop = Service("shop", store=store)
    seen: list[str] = []

    @shop.on(Plain, gaps=Gaps(policy="wait", max_jump=1_000))
    async def read(event: Plain, ctx: Context) -> None:
        seen.append(ctx.id)

    wild = ("9223372036854775807", "9" * 30, "-1", "one", "5000")
    async with Harness(shop, clock=ManualClock()) as world:
        for number in (*wild, "1", None, "2"):
            await world.send(message(number))
        await world.send(message("3", epoch="later"))
        await world.settle()

        assert [letter.reason for letter in world.dead_letters] == [Reason.SEQUENCE_INVALID] * 6
    assert sorted(seen) == ["a-None-1", "a-None-2", "a-None-None"]


async def test_a_producer_that_starts_again_is_followed_and_its_past_is_stale(
    store: str | None,
) -> None:
    """R4."""
    shop = Service("shop", store=store)
    seen: list[str] = []

    @shop.on(Plain, gaps=Gaps(policy="wait", patience=SECOND))
    async def read(event: Plain, ctx: Context) -> None:
        seen.append(ctx.id)

    async with Harness(shop, clock=ManualClock()) as world:
        for number, epoch in (("1", "1"), ("2", "1"), ("1", "2"), ("3", "1"), ("2", "2")):
            await world.send(message(number, epoch))
        await world.settle()

        (letter,) = world.dead_letters
    assert seen == ["a-1-1", "a-1-2", "a-2-1", "a-2-2"]
    assert letter.reason is Reason.SEQUENCE_STALE


async def test_an_event_that_is_dead_lettered_does_not_hold_its_stream(store: str | None) -> None:
    """R10: its number is gone, and its successor does not wait for it."""
    shop = Service("shop", store=store, retry=Retry(attempts=2, initial=SECOND))
    seen: list[int] = []

    @shop.on(Reading, gaps=Gaps(policy="wait"))
    async def read(event: Reading) -> None:
        if event.number == 2:
            raise ValueError(event.number)
        seen.append(event.number)

    async with Harness(shop, clock=ManualClock()) as world:
        for number in (3, 2, 1):
            await world.publish(Reading(sensor="a", number=number))
        await world.settle()
        assert [letter.reason for letter in world.dead_letters] == [Reason.RETRIES_EXHAUSTED]

    assert seen == [1, 3]


async def test_an_event_that_is_filtered_does_not_hold_its_stream(store: str | None) -> None:
    shop = Service("shop", store=store)
    seen: list[int] = []

    @shop.on(Reading, gaps=Gaps(policy="wait"), when=lambda event: event.number % 2 == 1)
    async def read(event: Reading) -> None:
        seen.append(event.number)

    async with Harness(shop, clock=ManualClock()) as world:
        for number in (3, 2, 1, 5, 4):
            await world.publish(Reading(sensor="a", number=number))
        await world.settle()

    assert seen == [1, 3, 5]


async def test_a_failing_event_holds_its_stream_until_it_is_through(store: str | None) -> None:
    """R15: its successor is ready, and waits."""
    shop = Service("shop", store=store, retry=Retry(attempts=3, initial=SECOND))
    seen: list[tuple[int, int]] = []

    @shop.on(Reading)
    async def read(event: Reading, ctx: Context) -> None:
        seen.append((event.number, ctx.attempt))
        if event.number == 1 and ctx.attempt < 3:
            raise OSError

    async with Harness(shop, clock=ManualClock()) as world:
        for number in (2, 1):
            await world.publish(Reading(sensor="a", number=number))
        await world.settle()

    assert seen == [(1, 1), (1, 2), (1, 3), (2, 1)]


async def test_what_finds_no_room_is_quarantined_and_the_rest_goes_on() -> None:
    """R8: the missing number still gets in, and the intake does not stop."""
    gaps = Gaps(policy="wait", events=10)
    shop, seen = service(gaps=gaps)

    async with Harness(shop, clock=ManualClock()) as world:
        for number in range(2, 102):
            await world.publish(Reading(sensor="a", number=number))
        await world.publish(Reading(sensor="b", number=1))
        await world.publish(Reading(sensor="a", number=1))
        await world.settle()

        reasons = {letter.reason for letter in world.dead_letters}
        assert reasons == {Reason.SEQUENCE_OVERFLOW}
        assert len(world.dead_letters) == 90
    assert sorted(seen) == sorted([1, *range(1, 12)])


async def test_a_source_is_asked_for_what_is_missing(store: str | None) -> None:
    gaps = Gaps(policy="resend", patience=SECOND)
    shop, seen = service(store, gaps)

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Reading(sensor="a", number=4))
        await world.advance(1.5 * SECOND)
        (request,) = world.published(ResendRequested)
        for number in range(request.first, request.last + 1):
            await world.publish(Reading(sensor=request.stream, number=number))
        await world.settle()

    assert (request.service, request.handler, request.source) == (
        "shop", "read", "urn:choreo:harness",
    )  # fmt: skip
    assert (request.first, request.last) == (1, 3)
    assert seen == [1, 2, 3, 4]


async def test_services_with_partitions_of_their_own_share_the_topic_of_requests() -> None:
    """It is nobody's own: the second could not start."""
    first, second = (
        Service(name, broker="memory://requests", partitions=partitions)
        for name, partitions in (("first", 2), ("second", 3))
    )
    first.on(Asked, gaps=Gaps(policy="resend"))(_asked)
    second.on(ResendRequested)(_answered)

    async with started(first), started(second) as running:
        assert running.worker is not None


class Asked(Event, topic="asked", key="sensor", sequence="number"):
    sensor: str
    number: int


async def _asked(asked: Asked) -> None:
    """Handle it."""


async def _answered(request: ResendRequested) -> None:
    """Send nothing again."""


def test_a_buffer_that_cannot_fit_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"Gaps\(events=1000\).*max_unsettled"):
        gapless(Gaps(events=1_000))


def gapless(gaps: Gaps) -> None:
    shop, _ = service(gaps=gaps)
    for plan in shop.plans:
        gaps_of(plan, shop.settings(max_unsettled=1_000))


@pytest.mark.parametrize("seed", range(5))
async def test_a_crowd_of_streams_in_any_order_with_copies_is_put_in_order(
    seed: int, store: str | None
) -> None:
    random = Random(seed)
    shop = Service("shop", store=store)
    seen: dict[str, list[int]] = {}

    @shop.on(Reading)
    async def read(event: Reading) -> None:
        seen.setdefault(event.sensor, []).append(event.number)

    events: list[Event] = [
        Reading(sensor=f"s{sensor}", number=number)
        for sensor in range(20)
        for number in range(1, 16)
    ]
    random.shuffle(events)
    async with Harness(shop, clock=ManualClock()) as world:
        for event in events:
            await world.publish(event)
        await world.settle()

    assert seen == {f"s{sensor}": list(range(1, 16)) for sensor in range(20)}

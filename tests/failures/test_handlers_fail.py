"""What happens to an event whose handler fails: the failure table of the docs, row by row."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from choreo import Context, Event, Reject, Retry, RetryLater, Service
from choreo.delivery.job import Outcome
from choreo.reason import Reason
from choreo.testing import Harness, ManualClock
from tests.failures.events import Paid, Placed

RETRY = Retry(attempts=3, initial=timedelta(seconds=1), jitter=0)


async def test_an_event_that_fails_is_tried_again_and_its_key_waits() -> None:
    shop = Service("shop", retry=RETRY)
    seen: list[tuple[str, int, int]] = []

    @shop.on(Placed)
    async def charge(order: Placed, ctx: Context) -> None:
        seen.append((order.order, order.number, ctx.attempt))
        if order.number == 1 and ctx.attempt < 3:
            raise OSError("not yet")

    async with Harness(shop, clock=ManualClock()) as world:
        for number in (1, 2):
            await world.publish(Placed(order="a", number=number))
        await world.publish(Placed(order="b", number=9))
        await world.settle()

    assert [item for item in seen if item[0] == "a"] == [
        ("a", 1, 1), ("a", 1, 2), ("a", 1, 3), ("a", 2, 1),
    ]  # fmt: skip
    assert seen.index(("b", 9, 1)) < seen.index(("a", 1, 2))
    assert not world.dead_letters


async def test_a_retry_is_never_early() -> None:
    shop = Service("shop", retry=RETRY)
    clock = ManualClock()
    times: list[float] = []

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        times.append(clock.monotonic())
        raise OSError("never")

    async with Harness(shop, clock=clock) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    assert [later - earlier for earlier, later in pairwise(times)] == [1, 2]


class Ordinary(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        (Ordinary("spoilt"), 3, Reason.RETRIES_EXHAUSTED),
        (Reject("never"), 1, Reason.REJECTED),
        (RetryLater(timedelta(minutes=1)), 3, Reason.RETRIES_EXHAUSTED),
        (KeyError("listed"), 1, Reason.HANDLER_ERROR),
    ],
)
async def test_an_event_that_is_given_up_is_a_dead_letter_with_its_reason(
    error: Exception, attempts: int, reason: Reason
) -> None:
    retry = Retry(attempts=3, initial=timedelta(seconds=1), never=(KeyError,))
    shop = Service("shop", retry=retry)

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        raise error

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    (letter,) = world.dead_letters
    assert letter.reason is reason
    assert letter.attempts == attempts
    assert letter.handler == "charge"
    assert letter.service == "shop"
    assert letter.topic == "orders"


async def test_the_neighbours_of_a_poison_event_are_handled() -> None:
    shop = Service("shop", retry=RETRY)
    handled: list[int] = []

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        if order.number == 3:
            raise Reject("poison")
        handled.append(order.number)

    async with Harness(shop) as world:
        for number in range(6):
            await world.publish(Placed(order="one key", number=number))
        await world.settle()

    assert handled == [0, 1, 2, 4, 5]
    assert len(world.dead_letters) == 1


async def test_one_handler_of_an_event_fails_without_the_other_i8() -> None:
    shop = Service("shop", retry=RETRY)
    charged: list[str] = []

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        charged.append(order.order)

    @shop.on(Placed)
    async def pack(_: Placed) -> None:
        raise Reject("no")

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    assert charged == ["a"]
    assert [letter.handler for letter in world.dead_letters] == ["pack"]


async def test_what_a_failed_attempt_emitted_was_never_published() -> None:
    shop = Service("shop", retry=RETRY)

    @shop.on(Placed, publishes=[Paid])
    async def charge(order: Placed, ctx: Context) -> None:
        await ctx.publish(Paid(order=order.order, number=ctx.attempt))
        if ctx.attempt < 3:
            raise OSError("after the emit")

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    assert world.published(Paid) == [Paid(order="a", number=3)]


async def test_every_attempt_and_every_run_emits_the_same_ids_i9() -> None:
    ids: list[tuple[str, str, str]] = []
    shop = Service("shop", retry=RETRY)

    @shop.on(Placed, publishes=[Paid])
    async def charge(order: Placed, ctx: Context) -> None:
        first = await ctx.publish(Paid(order=order.order, number=1))
        second = await ctx.publish(Paid(order=order.order, number=2))
        ids.append((first, second, ctx.idempotency_key("charge")))
        if ctx.attempt < 3:
            raise OSError("again")

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    assert len(ids) == 3
    assert len(set(ids)) == 1
    assert len({*ids[0]}) == 3


async def test_an_undeclared_emit_is_a_dead_letter_and_not_published() -> None:
    shop = Service("shop", retry=RETRY)

    @shop.on(Placed)
    async def charge(order: Placed, ctx: Context) -> None:
        await ctx.publish(Paid(order=order.order))

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    (letter,) = world.dead_letters
    assert letter.reason is Reason.UNDECLARED_EMIT
    assert not world.published(Paid)


@pytest.mark.parametrize("wrong", [7, "text", {"order": "a"}, [Paid(order="a"), 7]])
async def test_a_return_value_that_is_no_event_is_a_dead_letter(wrong: Any) -> None:  # noqa: ANN401
    shop = Service("shop")

    async def charge(_: Placed):  # type: ignore[no-untyped-def]  # noqa: ANN202 -- as users write it
        return wrong

    shop.on(Placed, publishes=[Paid])(charge)

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    (letter,) = world.dead_letters
    assert letter.reason is Reason.UNDECLARED_EMIT
    assert not world.published(Paid)


async def test_a_duplicate_of_a_finished_event_is_not_handled_again() -> None:
    shop = Service("shop")
    handled: list[str] = []

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        handled.append(order.order)

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        (message,) = world.messages
        await world.send(message, message)
        await world.settle()

    assert handled == ["a"]
    assert world.outcomes(charge)[Outcome.DUPLICATE] == 2


async def test_a_replayed_dead_letter_is_handled_although_its_id_is_known_i12() -> None:
    shop = Service("shop", retry=RETRY)
    healed = False
    handled: list[str] = []

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        if not healed:
            raise Reject("broken")
        handled.append(order.order)

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        healed = True
        await world.send(world.messages[0])
        await world.settle()

    assert handled == ["a"]


async def test_an_event_that_went_too_far_is_a_loop_and_a_dead_letter() -> None:
    shop = Service("shop", max_hops=5)
    rounds: list[int] = []

    class Ping(Event, topic="ping"):
        round: int

    @shop.on(Ping)
    async def again(ping: Ping) -> Ping:
        rounds.append(ping.round)
        return Ping(round=ping.round + 1)

    async with Harness(shop) as world:
        await world.publish(Ping(round=0))
        await world.settle()

    assert rounds == [0, 1, 2, 3, 4, 5]
    (letter,) = world.dead_letters
    assert letter.reason is Reason.HOP_LIMIT


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_dead_letter_tells_where_the_error_was_raised_if_asked_to(*, wanted: bool) -> None:
    shop = Service("shop", retry=Retry(attempts=1), dead_letter_stack=wanted)

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        raise OSError(str(2**70))

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()
        stack = dict(world.messages[-1].headers).get("choreo-dlq-error-stack")

    assert (stack is not None) == wanted
    if stack is not None:
        assert b"in charge" in stack
        assert str(2**70).encode() not in stack
        assert len(stack) <= 4 * 1024


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("a"), "KeyError: 'a'"),
        (TimeoutError(), "TimeoutError"),
        (OSError("no gateway"), "OSError: no gateway"),
    ],
)
async def test_the_log_of_an_attempt_names_the_error_even_if_its_text_is_empty(
    caplog: pytest.LogCaptureFixture, error: Exception, said: str
) -> None:
    shop = Service("shop", retry=RETRY)

    @shop.on(Placed)
    async def charge(_: Placed) -> None:
        raise error

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Placed(order="a", number=1))
        await world.settle()

    failed = [line for line in caplog.records if line.message == "an attempt failed"]
    assert [line.__dict__["error"] for line in failed] == [said] * 3

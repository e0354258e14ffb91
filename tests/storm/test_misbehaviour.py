"""Handlers that do what none should: each costs its own event an attempt, and nothing else."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from datetime import timedelta
from threading import current_thread
from typing import Any, cast

import pytest

from choreo import ChoreoError, Context, Retry, RetryLater, Service
from choreo.middleware import Call
from choreo.reason import Reason
from choreo.testing import Harness, ManualClock
from tests.storm.events import Answered, Asked

TWICE = Retry(attempts=2)


class UntellableError(Exception):
    """An exception that fails when asked what it says."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


async def broken_library() -> None:
    """Await something that its own library has cancelled (A4)."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def wrong_delay() -> None:
    raise RetryLater(cast("timedelta", 5))


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


FAILURES: list[tuple[str, Callable[[], Awaitable[None]]]] = [
    ("foreign cancellation a4", broken_library),
    ("cancelling its own task", cancel_itself),
    ("sys.exit", raising(SystemExit(3))),
    ("BaseExceptionGroup", raising(BaseExceptionGroup("several", [SystemExit(1)]))),
    ("an exception without words", raising(UntellableError())),
    ("MemoryError", raising(MemoryError())),
    ("RecursionError", raising(RecursionError())),
    ("StopIteration", raising(StopIteration())),
    ("StopAsyncIteration", raising(StopAsyncIteration())),
    ("a delay that is none", wrong_delay),
]


@pytest.mark.parametrize("act", [act for _, act in FAILURES], ids=[name for name, _ in FAILURES])
async def test_whatever_a_handler_raises_costs_its_own_event_an_attempt(
    act: Callable[[], Awaitable[None]],
) -> None:
    shop = Service("shop", retry=TWICE, concurrency=1)
    runs: list[tuple[int, int]] = []

    @shop.on(Asked)
    async def answer(asked: Asked, ctx: Context) -> None:
        runs.append((asked.number, ctx.attempt))
        if asked.number == 0:
            await act()

    async with Harness(shop, clock=ManualClock()) as world:
        for number in (0, 1):
            await world.publish(Asked(key="a", number=number))
        await world.settle()
        worker = world.running(shop).worker
        assert worker is not None
        assert (worker.held, worker.lanes, worker.busy) == (0, 0, 0)

    assert runs[0] == (0, 1)
    assert runs[-1] == (1, 1)
    assert [letter.attempts for letter in world.dead_letters] == [len(runs) - 1]


async def test_what_a_thread_raises_reaches_its_attempt_even_stop_iteration() -> None:
    shop = Service("shop", retry=TWICE)

    @shop.on(Asked)
    def answer(asked: Asked) -> None:
        if asked.number == 0:
            next(iter(()))
        if asked.number == 1:
            sys.exit(3)

    async with Harness(shop, clock=ManualClock()) as world:
        for number in range(3):
            await world.publish(Asked(key="a", number=number))
        await world.settle()

    assert [asked.number for asked in world.handled(answer)] == [2]
    assert [letter.reason for letter in world.dead_letters] == [Reason.RETRIES_EXHAUSTED] * 2


async def test_a_generator_that_is_no_coroutine_runs_in_its_thread_to_the_end() -> None:
    shop = Service("shop")
    threads: list[str] = []

    @shop.on(Asked)
    def answer(asked: Asked) -> Iterator[Answered]:
        for number in range(2):
            threads.append(current_thread().name)
            yield Answered(key=asked.key, number=number)

    async with Harness(shop) as world:
        await world.publish(Asked(key="a", number=0))
        await world.settle()

    assert [event.number for event in world.published(Answered)] == [0, 1]
    assert all(name.startswith("choreo-shop") for name in threads)


async def test_a_cancellation_that_a_handler_leaves_behind_hits_nobody_else() -> None:
    shop = Service("shop", retry=TWICE, concurrency=1)

    @shop.on(Asked)
    async def answer(asked: Asked, ctx: Context) -> Answered:
        if asked.number == 0 and ctx.attempt == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        elif asked.number:
            await asyncio.sleep(0)
        return Answered(key=asked.key, number=asked.number)

    async with Harness(shop, clock=ManualClock()) as world:
        for number in range(3):
            await world.publish(Asked(key=str(number), number=number))
        await world.settle()

    assert sorted(event.number for event in world.published(Answered)) == [0, 1, 2]
    assert not [failure for failure in world.failures if failure.attempt > 1]
    assert not world.dead_letters


async def test_emitting_after_the_attempt_has_ended_is_an_error_and_not_lost_in_silence() -> None:
    shop = Service("shop")
    go = asyncio.Event()
    late: list[asyncio.Task[str]] = []

    @shop.on(Asked, publishes=[Answered])
    async def answer(asked: Asked, ctx: Context) -> None:
        async def later() -> str:
            await go.wait()
            return await ctx.publish(Answered(key=asked.key, number=1))

        late.append(asyncio.create_task(later()))

    async with Harness(shop) as world:
        await world.publish(Asked(key="a", number=0))
        await world.settle()
        go.set()
        with pytest.raises(ChoreoError, match="ended"):
            await late[0]
        await world.settle()

    assert world.published(Answered) == []


async def test_what_a_call_emitted_that_middleware_repeats_is_emitted_once() -> None:
    async def stubborn(ctx: Context, call: Call) -> None:
        try:
            await call(ctx)
        except OSError:
            await call(ctx)

    shop = Service("shop", middleware=[stubborn])
    calls = 0

    @shop.on(Asked, publishes=[Answered])
    async def answer(asked: Asked, ctx: Context) -> None:
        nonlocal calls
        calls += 1
        await ctx.publish(Answered(key=asked.key, number=calls))
        if calls == 1:
            raise OSError("the first time it does not work")

    async with Harness(shop) as world:
        await world.publish(Asked(key="a", number=0))
        await world.settle()

    assert world.published(Answered) == [Answered(key="a", number=2)]


class Incomparable:
    """A value that cannot be compared, as an array of numbers."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]


incomparable: ContextVar[Any] = ContextVar("incomparable")


async def test_a_context_variable_may_hold_what_cannot_be_compared() -> None:
    incomparable.set(Incomparable())
    shop = Service("shop", concurrency=1)

    @shop.on(Asked)
    async def answer(_: Asked) -> None:
        incomparable.set(Incomparable())

    async with Harness(shop) as world:
        for number in range(3):
            await world.publish(Asked(key="a", number=number))
        await world.settle()

    assert len(world.handled(answer)) == 3


async def test_the_late_error_of_an_abandoned_run_is_nobodys_failure_a2() -> None:
    second = timedelta(seconds=1)
    shop = Service("shop", retry=Retry(attempts=5), deadline=second, grace=second)
    begun, release = asyncio.Event(), asyncio.Event()

    @shop.on(Asked)
    async def answer(_: Asked) -> None:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        raise OSError("too late")

    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(Asked(key="a", number=0))
        await begun.wait()
        await world.advance(4 * second)
        release.set()
        await world.advance(second)
        worker = world.running(shop).worker
        assert worker is not None
        assert (worker.held, len(worker.waiting), worker.lanes) == (0, 0, 0)

    assert [type(failure.error).__name__ for failure in world.failures] == ["HandlerTimeout"]
    assert [letter.reason for letter in world.dead_letters] == [Reason.TIMEOUT]

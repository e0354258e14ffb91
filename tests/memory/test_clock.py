import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from choreo.clock import Timer
from choreo.testing.clock import ManualClock


async def test_time_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(datetime(2020, 2, 2, tzinfo=UTC))
    await asyncio.sleep(0)

    assert clock.monotonic() == 0
    assert clock.now() == datetime(2020, 2, 2, tzinfo=UTC)

    await clock.advance(90)

    assert clock.monotonic() == 90
    assert clock.now() == datetime(2020, 2, 2, 0, 1, 30, tzinfo=UTC)


async def test_timers_run_in_order_of_their_moment_and_then_of_their_setting() -> None:
    clock = ManualClock()
    ran: list[tuple[str, float]] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: ran.append((name, clock.monotonic()))

    for name, seconds in (("late", 3.0), ("first", 1.0), ("second", 1.0), ("now", 0.0)):
        clock.call_later(seconds, note(name))

    await clock.advance(2)

    assert ran == [("now", 0), ("first", 1), ("second", 1)]
    assert clock.next_due == 1


async def test_a_cancelled_timer_never_runs_and_is_not_waited_for() -> None:
    clock = ManualClock()
    ran: list[str] = []
    timer = clock.call_later(1, lambda: ran.append("cancelled"))
    clock.call_later(2, lambda: ran.append("kept"))

    timer.cancel()
    timer.cancel()

    assert clock.next_due == 2
    await clock.advance(5)
    assert ran == ["kept"]
    assert clock.next_due is None


async def test_a_timer_may_cancel_another_of_the_same_moment() -> None:
    clock = ManualClock()
    ran: list[str] = []
    others: list[Timer] = []
    clock.call_later(1, lambda: others.pop().cancel())
    others.append(clock.call_later(1, lambda: ran.append("other")))

    await clock.advance(1)

    assert ran == []


async def test_what_a_sleeper_sets_up_when_it_wakes_is_part_of_the_same_advance() -> None:
    clock = ManualClock()
    woke: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            woke.append(clock.monotonic())

    task = asyncio.create_task(tick())
    await clock.advance(3.5)
    task.cancel()
    await asyncio.wait([task])

    assert woke == [1, 2, 3]
    assert clock.next_due is None


async def test_chains_of_tasks_come_to_rest_before_time_moves_on() -> None:
    clock = ManualClock()
    seen: list[float] = []

    async def relay(hops: int) -> None:
        for _ in range(hops):
            await asyncio.sleep(0)
        seen.append(clock.monotonic())

    async def start() -> None:
        await clock.sleep(1)
        await asyncio.create_task(relay(50))

    task = asyncio.create_task(start())
    await clock.advance(10)

    assert task.done()
    assert seen == [1]


async def test_a_step_moves_to_the_next_moment_only() -> None:
    clock = ManualClock()
    ran: list[int] = []
    clock.call_later(1, lambda: ran.append(1))
    clock.call_later(2, lambda: ran.append(2))

    assert clock.step()
    assert (ran, clock.monotonic()) == ([1], 1)
    assert not clock.step(1.5)
    assert (ran, clock.monotonic()) == ([1], 1)
    assert clock.step()
    assert not clock.step()


async def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        await ManualClock().advance(-timedelta(seconds=1).total_seconds())

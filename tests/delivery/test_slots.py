"""Slots let the event loop turn, however many of them come back from waiting at once."""

import asyncio
from collections import Counter, deque
from datetime import timedelta

from choreo.clock import SystemClock
from choreo.delivery.job import Job, Received
from choreo.delivery.slots import SLICE, Slot, Slots
from choreo.message import Delivery

MANY = 20
COST = SLICE / 4
"""Seconds that a job takes which does not wait."""
AT_ONCE = 6
"""Jobs after which a slice is over."""


class Spending(SystemClock):
    """A clock on which time passes where it is spent."""

    spent = 0.0

    def monotonic(self) -> float:
        """Tell what was spent."""
        return self.spent


class Work:
    """The first jobs wait for each other, and the others only take their time."""

    def __init__(self, clock: Spending) -> None:
        self._clock = clock
        self.go_on = asyncio.Event()
        self.waiting = 0
        self.turn = 0
        self.ended: Counter[int] = Counter()
        """How many jobs that take their time have ended in each turn of the loop."""

    async def advance(self, job: Job, _: Slot, /) -> None:
        """Wait, or take time."""
        if job.lane == "waits":
            self.waiting += 1
            await self.go_on.wait()
        else:
            self._clock.spent += COST
            self.ended[self.turn] += 1

    def abandoned(self, job: Job, /) -> None:
        """Hear of none."""
        raise AssertionError(job)

    def freed(self) -> None:
        """Not mind."""

    def crashed(self, error: BaseException, /) -> None:
        """Hear of none."""
        raise error


def jobs(lane: str) -> list[Job]:
    received = Received(Delivery("topic", b""), None, 0, 1)
    return [Job(received, None, lane) for _ in range(MANY)]


async def test_the_loop_turns_between_slices_however_many_slots_come_back_at_once() -> None:
    clock = Spending()
    work, ready = Work(clock), deque(jobs("waits"))
    slots = Slots(MANY, timedelta(seconds=1), clock, ready, work)
    slots.wake()
    while work.waiting < MANY:
        await asyncio.sleep(0)

    clock.spent += 10 * SLICE  # they wait for long
    ready.extend(jobs("takes its time"))
    work.go_on.set()
    while work.ended.total() < MANY:
        await asyncio.sleep(0)
        work.turn += 1

    assert max(work.ended.values()) <= AT_ONCE
    assert len(work.ended) <= MANY // AT_ONCE + 2  # and no more often than that
    await slots.close()

"""A pool of tasks that drain ready work: no task per event, no waiting where there is work.

Theory of operation.  Each slot is one task that takes ready jobs one after the other.  A job that
never suspends runs to its end without a context switch; before each job at most one idle slot is
woken, and only if more is ready, so that it takes over when the job suspends.  Slots are started
when none is idle and work is ready, up to the pool's size.

A deadline is swept for all slots together.  A job that overruns is cancelled; if it will not die
within the grace it is abandoned: its slot is given up and its result, if one ever comes, is
ignored.  A job in a thread cannot be cancelled and is only reported: its lane stays held until the
thread returns (A6).

A slot whose job left a context variable set, or a cancellation that its task has not come to yet,
is replaced by a fresh one, so that nothing leaks from one event into the next (A10).

A job that only waits for the broker's word is set aside, so that many more than there are slots
share one call to the broker; it still counts as busy until it has ended.
"""

import asyncio
import decimal
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from datetime import timedelta
from math import inf
from typing import Any, Protocol

from choreo.clock import Clock, Timer
from choreo.delivery.job import Job
from choreo.plan import Kind

logger = logging.getLogger(__name__)

SLICE = 0.02
"""Seconds after which busy slots let the event loop do other things, all of them together."""

SWEEP = 0.25
"""Seconds between two looks at deadlines, at most."""


class Slot:
    """One task and the job it is at."""

    __slots__ = (
        "abandoned",
        "awake",
        "began",
        "deadline",
        "expired",
        "job",
        "leaving",
        "reported",
        "task",
    )

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.job: Job | None = None
        self.began = 0.0
        """Monotonic time at which it took its job."""
        self.deadline: float | None = None
        """Monotonic time at which the running handler is cancelled; None outside handlers."""
        self.expired: float | None = None
        """When it was cancelled for its deadline."""
        self.reported: Job | None = None
        """The job of which it was told that its thread is past its deadline."""
        self.abandoned = False
        self.awake = False
        """It looks for work, or is at some."""
        self.leaving = False
        """It takes no other job."""

    @property
    def cancelled(self) -> bool:
        """Say whether anyone cancelled its task: it then ends with its present job."""
        return self.task is not None and self.task.cancelling() > 0


class Owner(Protocol):
    """What the pool works for."""

    def advance(self, job: Job, slot: Slot, /) -> Coroutine[Any, Any, None]:
        """Take *job* one step further."""
        ...

    def abandoned(self, job: Job, /) -> None:
        """Hear that *job* overran, would not die, and was abandoned."""
        ...

    def freed(self) -> None:
        """Hear that a job left its slot, or that no more are ready."""
        ...

    def crashed(self, error: BaseException, /) -> None:
        """Hear that the pool itself failed: a bug, and nothing may go on as if all were well."""
        ...


class Slots:
    """The pool: drains *ready* on behalf of its owner."""

    def __init__(
        self, size: int, grace: timedelta, clock: Clock, ready: deque[Job], owner: Owner
    ) -> None:
        self._size = size
        self._grace = grace.total_seconds()
        self._clock = clock
        self._ready = ready
        self._owner = owner
        self.busy = 0
        """Slots that look for work or are at some, and jobs that were set aside."""
        self.short = True
        """The owner waits for room, and wants to hear of it."""
        self._aside: dict[Job, None] = {}
        self._slots: list[Slot] = []
        self._idle: list[asyncio.Future[None]] = []
        self._waking = False
        self._until = -inf
        """Monotonic time until which slots may go on in this turn of the event loop."""
        self._turned = True
        """The loop has turned since any slot began a job."""
        self.closed = False
        self._context = copy_context()
        """What every slot begins with."""
        self._timer: Timer | None = None
        self._watchers: list[asyncio.Future[None]] = []
        self.zombies: list[Slot] = []
        """Slots that were given up and whose handlers have not returned yet."""

    @property
    def running(self) -> list[Job]:
        """The jobs that slots are at now, or that were set aside."""
        return [*(slot.job for slot in self._slots if slot.job is not None), *self._aside]

    def wake(self) -> None:
        """See to it that some slot looks for work."""
        if self._waking or self.closed:
            return
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                self._waking = True
                waiter.set_result(None)
                return
        if len(self._slots) < self._size:
            self._waking = True
            self._start()

    def set_aside(self, job: Job) -> None:
        """Let the slot of *job* go on: it needs nothing any more but to hear from the broker."""
        self._aside[job] = None
        self.busy += 1

    def returned(self, job: Job) -> None:
        """Count no longer a job that was set aside."""
        del self._aside[job]
        self._left()

    async def until(self, quiet: Callable[[], bool]) -> None:
        """Return once *quiet* holds; looked at whenever a job leaves its slot."""
        while not quiet():
            watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.append(watcher)
            await watcher

    def abort(self) -> None:
        """Cancel what still runs; no slot takes another job."""
        self.closed = True
        if self._timer:
            self._timer.cancel()
        for slot in (*self._slots, *self.zombies):
            slot.leaving = True
            if slot.task:
                slot.task.cancel()

    async def close(self) -> None:
        """Cancel what still runs; return when it has ended, or the grace has."""
        self.abort()
        tasks = [slot.task for slot in self._slots if slot.task]
        if tasks:
            await asyncio.wait(tasks, timeout=self._grace)
        for slot in self._slots.copy():
            if slot.job is not None:
                logger.error("handler ignored its cancellation", extra=slot.job.names)
                self._abandon(slot)

    def _start(self) -> None:
        slot = Slot()
        self._slots.append(slot)
        # A slot may be started from within another one's context, which may be why that one ends.
        slot.task = asyncio.get_running_loop().create_task(
            self._run(slot), name="choreo slot", context=self._context.copy()
        )
        slot.task.add_done_callback(lambda task: self._ended(slot, task))
        self._watch()

    async def _run(self, slot: Slot) -> None:
        decimal.getcontext()  # set before a handler does, so that it is not taken for a leak
        clean, task = copy_context(), asyncio.current_task()
        assert task is not None  # noqa: S101 -- it is the slot's own
        ready, advance, monotonic = self._ready, self._owner.advance, self._clock.monotonic
        try:
            self._rise(slot)
            while not slot.leaving:
                now = monotonic()
                if not ready or (now > self._until and not self._goes_on(now)):
                    await (asyncio.sleep(0) if ready else self._rest(slot))
                    continue
                job = ready.popleft()
                if not ready:
                    if self.short:
                        self._owner.freed()
                elif not self._waking:
                    self.wake()
                slot.job, slot.began = job, now
                await advance(job, slot)
                slot.job = slot.deadline = slot.expired = None
                if self.short or self._watchers:
                    self._tell()
                if task.cancelling() or _differs(clean):
                    return
        finally:
            slot.job = slot.deadline = None
            if slot.awake:
                self._lie_down(slot)

    def _goes_on(self, now: float) -> bool:
        """Say whether slots may be at work in this turn of the loop, which began lately or now."""
        if not self._turned:
            return False
        self._turned, self._until = False, now + SLICE
        asyncio.get_running_loop().call_soon(self._turn)
        return True

    def _turn(self) -> None:
        self._turned, self._until = True, -inf

    async def _rest(self, slot: Slot) -> None:
        self._lie_down(slot)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._idle:
                self._idle.remove(waiter)
            raise
        self._rise(slot)
        self._watch()

    def _rise(self, slot: Slot) -> None:
        self._waking = False
        self.busy += 1
        slot.awake = True

    def _lie_down(self, slot: Slot) -> None:
        slot.awake = False
        self._left()

    def _left(self) -> None:
        self.busy -= 1
        if self.short or self._watchers:
            self._tell()

    def _tell(self) -> None:
        """Tell those who wait for room, or for quiet, that a job left."""
        if self.short:
            self._owner.freed()
        if self._watchers:
            self._notify()

    def _ended(self, slot: Slot, task: asyncio.Task[None]) -> None:
        # Not in the task, as one that is cancelled before its first step runs none of its code.
        if slot in self._slots:
            self._slots.remove(slot)
        if slot in self.zombies:
            self.zombies.remove(slot)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._owner.crashed(error)
        self._waking = False
        if self._ready:
            self.wake()

    def _notify(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    def _watch(self) -> None:
        """Look at deadlines from now on, as long as a slot is at work."""
        if self._timer is None and not self.closed:
            self._timer = self._clock.call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        for slot in list(self._slots):
            job, deadline = slot.job, slot.deadline
            if job is None or deadline is None or now < deadline or job.done:
                continue  # once its handler is done only the store's own limits count
            if job.handler is not None and job.handler.plan.kind is Kind.THREAD:
                if slot.reported is not job:
                    slot.reported = job
                    logger.warning("handler thread is past its deadline", extra=job.names)
            elif slot.expired is None:
                slot.expired = now
                if slot.task:
                    slot.task.cancel()
            elif now >= slot.expired + self._grace:
                self._abandon(slot)
                logger.error("handler ignored its deadline and was abandoned", extra=job.names)
                self._owner.abandoned(job)
        self._timer = None
        if len(self._idle) < len(self._slots):  # else nothing runs, and who wakes watches again
            self._watch()

    def _abandon(self, slot: Slot) -> None:
        slot.abandoned = slot.leaving = True
        if slot.job is not None:
            slot.job.run += 1
        self._slots.remove(slot)
        self.zombies.append(slot)
        self._lie_down(slot)


def _differs(clean: Context) -> bool:
    """Say whether a job changed the running context, which began *clean*."""
    try:
        return copy_context() != clean
    except Exception:  # noqa: BLE001 -- what is compared are values of others: arrays refuse it
        return True

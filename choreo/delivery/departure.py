"""Letting go of deliveries: what has not begun is dropped, what runs is waited for, then fenced.

Theory of operation.  A job that is *going* belongs to a stream that goes to another consumer, or to
a service that stops.  Whatever of it is queued, ready, at rest or waiting for a duplicate's end is
given up at once; what runs may end, and is given up where it would have to wait.  If the time for
that is cut short, what still runs is marked as dropped: its handler's success is remembered, but it
is not settled, tried again or buried on behalf of a consumer that it no longer belongs to (K5).
"""

from collections.abc import Callable
from typing import Protocol

from choreo.delivery.inbox import Inbox
from choreo.delivery.job import Job, Received
from choreo.delivery.lanes import Lanes
from choreo.delivery.ordering import Ordering
from choreo.delivery.slots import Slots
from choreo.delivery.waiting import Waiting

Going = Callable[[Received], bool]
"""Tells the deliveries that are let go of."""


class Owner(Protocol):
    """Who ends the jobs."""

    def give_up(self, job: Job, /) -> None:
        """End a job that is out of its lane, unfinished."""
        ...

    def give_up_queued(self, job: Job, /) -> None:
        """End a job that its lane had not let out yet: there is no lane to release."""
        ...

    def freed(self) -> None:
        """Hear that room may have come about."""
        ...


def everything(_: Received) -> bool:
    """Let go of all there is."""
    return True


class Departure:
    """The way out of one worker, for some streams or for all."""

    def __init__(
        self,
        lanes: Lanes[Job],
        inbox: Inbox[Job],
        waiting: Waiting[Job],
        slots: Slots,
        ordering: Ordering,
        owner: Owner,
    ) -> None:
        self._ordering = ordering
        self._lanes = lanes
        self._inbox = inbox
        self._waiting = waiting
        self._slots = slots
        self._owner = owner
        self._going: list[Going] = []

    @property
    def begun(self) -> bool:
        """Say whether anything is let go of now."""
        return bool(self._going)

    def concerns(self, received: Received) -> bool:
        """Say whether it goes, or went while it was being handled."""
        return received.dropped or any(going(received) for going in self._going)

    def close(self) -> None:
        """Let go of whatever comes from now on."""
        self._going.append(everything)

    async def leave(self, going: Going) -> None:
        """Drop all jobs of deliveries that are *going* and have not begun; wait for the others."""
        self._going.append(going)
        try:
            self.drop(going, going)
            await self._slots.until(lambda: not self._unended(going))
        finally:
            self._going.remove(going)
            for job in self._unended(going):
                job.received.dropped = True

    def drop(self, going: Going, resting: Going) -> None:
        """Drop what is *going* of the jobs that may or could run, and *resting* of the others."""
        for job in self._ordering.drop(lambda job: resting(job.received)):
            self._owner.give_up_queued(job)
        for job in self._lanes.drop(lambda job: going(job.received)):
            self._owner.give_up_queued(job)
        ready = [job for job in self._lanes.ready if going(job.received)]
        for job in ready:
            self._lanes.ready.remove(job)
        waiting = self._waiting.drop(lambda job: resting(job.received))
        duplicates = [job for job in self._inbox.waiting() if resting(job.received)]
        for job in duplicates:
            self._inbox.leave(job)
        for job in (*ready, *waiting, *duplicates):
            self._owner.give_up(job)
        self._slots.wake()
        self._owner.freed()

    def drop_behind(self, job: Job) -> None:
        """Drop what is queued behind *job* and goes where it goes: nothing overtakes it there."""
        for behind in self._lanes.drop_behind(job.lane, lambda job: self.concerns(job.received)):
            self._owner.give_up_queued(behind)

    def _unended(self, going: Going) -> list[Job]:
        jobs = (*self._slots.running, *self._lanes.ready)
        return [job for job in jobs if going(job.received)]

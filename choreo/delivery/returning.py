"""The way back out of the store: jobs are made again of what was parked, and handled."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from choreo.delivery.attempts import Records
from choreo.delivery.condemned import absolve, condemn
from choreo.delivery.custody import Custody
from choreo.delivery.endings import Endings
from choreo.delivery.intake import Intake
from choreo.delivery.job import Drained, Job, Outcome, Received
from choreo.delivery.lanes import Lanes
from choreo.failpoints import reached
from choreo.store.lot import Line, Parked


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """What a worker keeps its jobs in."""

    intake: Intake
    custody: Custody
    lanes: Lanes[Job]
    endings: Endings
    roused: Callable[[], None]
    """Has what became ready begin."""


class Returns:
    """Brings back into one worker what waited in the store."""

    def __init__(self, records: Records, yard: Yard) -> None:
        self._books = records.books
        self._inbox = records.inbox
        self._guard = records.guard
        self._yard = yard
        self.stopping = False
        """Nothing is begun any more."""

    @asynccontextmanager
    async def read(self, parked: Sequence[Parked], line: Line) -> AsyncGenerator[list[Job | None]]:
        """Make jobs, with what is known of them; None where the service has no handler for it.

        What is not begun by the end of the block is as if it had not been read.
        """
        reached("resumed")
        jobs = [self._job(each, line) for each in parked]
        known = [job for job in jobs if job is not None]
        try:
            if self._guard is not None:
                await self._guard.depart([job.received for job in known])
            await self._books.recall(known)
            absolve(known, self._inbox)
            yield jobs
        finally:
            if self._guard is not None:
                for job in known:
                    if job.parked is None or not job.parked.begun:
                        self._guard.left_out(job.received)

    async def handled(self, job: Job) -> Outcome:
        """Have a job handled in a lane of its line, and tell how it ended."""
        self._yard.lanes.add(job.lane, job)
        return await self.ended(job)

    async def ended(self, job: Job) -> Outcome:
        """Tell how a job ended that is in its lane already."""
        assert job.parked is not None  # noqa: S101 -- made here
        returned, job.parked.begun = job.parked.returned, True
        self._yard.custody.take(job.received)
        self._yard.roused()
        return await returned

    def _job(self, parked: Parked, line: Line) -> Job | None:
        delivery = parked.delivery
        sorted_ = self._yard.intake.sort(delivery)
        for handler in sorted_.handlers:
            if handler.index == parked.handler:
                size = len(delivery.body or b"")
                received = Received(delivery, sorted_.envelope, size, 1, parked=True)
                received.generation = parked.generation
                own = self._yard.intake.lane(delivery, sorted_.envelope, handler)
                job = Job(received, handler, own if line.numbered else ("lot", line.line))
                condemned = None if self._guard is None else self._guard.condemned(delivery)
                if condemned is not None:
                    condemn((job,), condemned)
                job.parked = Drained(parked.ticket, line)
                return job
        return None

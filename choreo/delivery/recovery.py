"""Ordered recovery: a failed event and its key's later ones wait in the store, and follow in order.

Theory of operation.  A job that failed for good opens a line in the lot and ends, as far as the
broker is concerned.  The lines of what is taken in are asked for, batch by batch; whoever finds the
line open is laid behind, with all that is queued in the same lane, in one transaction.  Meanwhile a
task takes over lines that are due, a few at a time, and hands their first events to the worker, one
after the other, in lanes of their own.  An event leaves the lot in the transaction of its end, and
the line with its last one: what arrives then is told to go ahead, as nothing is before it any more.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta

from choreo.broker import Notice
from choreo.clock import Timer
from choreo.dead_letter import error_text
from choreo.delivery.attempts import Records, key_of
from choreo.delivery.job import Job, Outcome
from choreo.delivery.journal import Journal
from choreo.delivery.ordering import Ordering
from choreo.delivery.parking import (
    MENDABLE,
    Fate,
    came_back,
    conflicts,
    decide,
    line_for,
    parking,
)
from choreo.delivery.resumption import Resumption
from choreo.delivery.returning import Returns, Yard
from choreo.environment import Environment
from choreo.errors import IdConflict, Overtaken, StoreError
from choreo.failpoints import reached
from choreo.reason import Reason
from choreo.store.lot import Laid, Line, Lot

logger = logging.getLogger(__name__)

LINES = 16
"""Lines that one process works on at a time: what is parked must not take all slots."""
BATCH = 16
"""Events of a line that are read at once."""
LEASE = timedelta(seconds=30)
POLL = 5.0
"""Seconds between two looks for lines that other processes have left."""
SWEEP = 1.0
"""Seconds between two looks for numbered lines that nobody called although it is their turn."""
SWEPT = 500
"""Lines that are called at once."""
NOT_THERE = frozenset((Laid.MOVED, Laid.CONFLICT, Laid.ABSENT))
"""What became of an event that is not in the lot: it goes on in its lane."""


class Recovery:
    """Lays jobs into the lot, and lets them out again."""

    def __init__(
        self,
        records: Records,
        yard: Yard,
        ordering: Ordering,
        environment: Environment,
        journal: Journal,
    ) -> None:
        self._store_lot = records.lot
        self._books = records.books
        self._inbox = records.inbox
        self._yard = yard
        self._returns = Returns(records, yard)
        if records.lot is not None:
            ask = records.sequencing.ask
            self._numbered = Resumption(records.lot, self._returns, ordering, ask, journal)
        self._clock = environment.clock
        self._random = environment.random
        self._journal = journal
        self.lines: set[bytes] = set()
        """Those that are open, as far as is known; always the same set."""
        self._working: dict[bytes, Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._due = asyncio.Event()
        self._timer: Timer | None = None
        self._renewed = 0.0
        self._swept = 0.0
        self._poll = SWEEP if ordering.wanted else POLL
        self.next_due: float | None = None
        """Monotonic time at which a line is looked at next, as far as is known."""

    @property
    def _lot(self) -> Lot:
        assert self._store_lot is not None  # noqa: S101 -- a service that parks has a store
        return self._store_lot

    # -- into the lot -------------------------------------------------------------------------

    async def learn(self, jobs: Iterable[Job]) -> None:
        """Find out in one query which of the lines of *jobs* are open. Raises StoreError."""
        asked = {line for job in jobs if (line := self._line(job)) is not None}
        unknown = sorted(asked - self.lines)
        if unknown:
            self.lines |= await self._lot.open(unknown)

    def line_open(self, job: Job) -> bool:
        """Say whether the job is to wait behind others in the lot, as far as is known."""
        return bool(self.lines) and self._line(job) in self.lines

    async def append(self, job: Job) -> bool:
        """Lay the job, and what is queued behind it, into its line; False if that is gone."""
        line = self._line(job)
        assert line is not None  # noqa: S101 -- only what has a line is laid into one
        lanes = self._yard.lanes
        behind = lanes.drop_behind(job.lane, lambda other: self._follows(other, line))
        try:
            reached("joining")
            first, *rest = await self._lot.append([parking(each, line) for each in (job, *behind)])
            reached("joined")
        except BaseException:
            lanes.put_behind(job.lane, behind)
            raise
        if first is Laid.MOVED:
            self.lines.discard(line)
        elif first is Laid.CONFLICT:
            conflicts(job)
        elif first is not Laid.ABSENT:
            _stepped(job)
        remaining: list[Job] = []
        for other, laid in zip(behind, rest, strict=True):
            if laid in NOT_THERE:
                remaining.append(other)
            else:
                _stepped(other)
                self._yard.endings.end_queued(other, Outcome.PARKED)
        lanes.put_behind(job.lane, remaining)
        if first is Laid.MOVED and job.order is not None:
            await self.learn((job,))
            if self.line_open(job):
                raise Overtaken("its stream has gone on elsewhere: judging it anew")
        return first not in NOT_THERE

    def wants(self, job: Job) -> bool:
        """Say whether a job that failed for good is parked and not buried."""
        parks = job.handler is not None and job.handler.park is not None
        return parks and job.reason in MENDABLE and not (job.parked and job.parked.buried)

    async def park(self, job: Job) -> Outcome | None:
        """Lay a failed job into the lot, or put it off there; None if it is to be buried."""
        handler, drained = job.handler, None if came_back(job) else job.parked
        assert handler is not None  # noqa: S101 -- only a handler's share fails
        assert handler.park is not None  # noqa: S101 -- as above
        failed = 0 if drained is None else drained.attempts + 1
        decision = decide(handler.park, failed, self._random)
        note = "" if job.error is None else error_text(job.error)
        if decision.fate is Fate.BURY_ALL and drained is not None:
            # Written down first: whoever goes on after our death must not handle what is behind.
            if not await self._lot.doom(drained.line):
                raise Overtaken("its line is another's by now")
            drained.buried = True
        if decision.fate in (Fate.SKIP, Fate.BURY_ALL):
            return None
        due = None if decision.fate is Fate.HOLD else timedelta(seconds=decision.delay)
        await self._books.failed(job)
        if drained is not None:
            await self._lot.put_off(drained.line, due, note)
        else:
            line = line_for(job)
            reached("parking")
            try:
                parked = await self._lot.park(parking(job, line, note), (), due)
            except IdConflict:
                conflicts(job)
                return None
            if not parked:
                raise Overtaken("its stream has gone on elsewhere: judging it anew")
            self.lines.add(line)
            _stepped(job)
            reached("parked")
        self._tell(job, due)
        if drained is None:
            self.look()
        return Outcome.PARKED

    async def left(self, job: Job, outcome: Outcome) -> None:
        """Take a job out of the lot whose end does not do so itself. Raises StoreError."""
        if job.parked is not None and outcome not in (Outcome.PARKED, Outcome.DROPPED):
            await self._lot.leave(job.parked.ticket)

    # -- out of it ----------------------------------------------------------------------------

    def look(self) -> None:
        """Look for lines that are due: one may be so earlier than is known."""
        self._due.set()

    @asynccontextmanager
    async def draining(self) -> AsyncGenerator[None]:
        """Work on lines that are due, meanwhile; what is begun then is left to end."""
        if self._store_lot is None:
            yield
            return
        self._begin(self._watch(), "choreo lot")
        try:
            yield
        finally:
            self._returns.stopping = True
            self._due.set()

    async def close(self) -> None:
        """Return when no line is worked on any more."""
        if self._timer is not None:
            self._timer.cancel()
        while self._tasks:  # the watching one may be taking lines over, and then begins others
            await asyncio.wait(self._tasks)

    def abort(self) -> None:
        """Leave all lines as they are: their leases run out."""
        for task in self._tasks:
            task.cancel()

    async def _watch(self) -> None:
        revived = False
        while not self._returns.stopping:
            rest: float | None = None
            try:
                if not revived:
                    await self._lot.revive()
                    await self._lot.call()  # whoever moved a stream may have died before it did
                    revived = True
                rest = await self._look()
            except StoreError as error:
                logger.warning("the parking lot cannot be looked at", extra={"error": str(error)})
            self._arm(rest)
            await self._due.wait()
            self._due.clear()

    async def _look(self) -> float | None:
        """Take over what is due; tell the seconds until something else will be."""
        now = self._clock.monotonic()
        if not self._working:
            self._renewed = now
        elif now - self._renewed >= LEASE.total_seconds() / 3:
            await self._lot.renew(list(self._working.values()), LEASE)
            self._renewed = now
        if self._poll == SWEEP and now - self._swept >= SWEEP:
            await self._lot.sweep(SWEPT)
            self._swept = now
        room = LINES - len(self._working)
        rest = await self._lot.next_due()  # asking costs no transaction, taking does
        if room <= 0:
            return None  # the next line that is through wakes this up
        if rest is not None and not rest:
            for line in await self._lot.take(room, LEASE):
                self._working[line.line] = line
                self._begin(self._work(line), "choreo line")
            rest = await self._lot.next_due()
        return None if rest is None else rest.total_seconds()

    def _arm(self, rest: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = self._poll if rest is None else min(rest, self._poll)
        self.next_due = None if rest is None else self._clock.monotonic() + seconds
        self._timer = self._clock.call_later(seconds, self._due.set)

    async def _work(self, line: Line) -> None:
        """Have the events of one line handled, one after the other, until one is not through."""
        try:
            through = self._numbered.through if line.numbered else self._through
            if not await through(line):
                await self._lot.give_back(line)
        except StoreError as error:
            names = {"line": line.line.hex(), "error": str(error)}
            logger.warning("a parked key is left for now", extra=names)
        finally:
            if self._working.get(line.line) is line:  # else it was taken anew before this ended
                del self._working[line.line]
            self._due.set()

    async def _through(self, line: Line) -> bool:
        """Say whether the line has gone, or was put off; False if it is to be given back."""
        attempts = line.attempts
        buried = Reason.RETRIES_EXHAUSTED if line.doomed else None
        wanted = 1  # what is behind an event that fails once more is not read for nothing
        while parked := await self._lot.first(line, wanted):
            wanted = BATCH
            async with self._returns.read(parked, line) as jobs:
                for job in jobs:
                    if self._returns.stopping:
                        return False
                    if job is None or job.parked is None:
                        await self._lot.put_off(line, None, "the service has no handler for it")
                        return True
                    job.parked.attempts, attempts = attempts, 0
                    if buried is not None and not self._finished(job):
                        job.parked.buried, job.reason = True, buried
                    outcome = await self._returns.handled(job)
                    if job.parked.buried:
                        buried = job.reason
                    if outcome in (Outcome.PARKED, Outcome.DROPPED):
                        return outcome is Outcome.PARKED
        self.lines.discard(line.line)
        return True

    # -- within -------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _finished(self, job: Job) -> bool:
        """Say whether it is a duplicate, which leaves the lot as one and is no dead letter."""
        return job.handler is not None and self._inbox.finished(key_of(job, job.handler))

    def _line(self, job: Job) -> bytes | None:
        if job.handler is None or job.handler.park is None:
            return None
        if job.parked is not None and not came_back(job):
            return None
        if job.line is None:
            job.line = line_for(job)
        return job.line

    def _follows(self, job: Job, line: bytes) -> bool:
        """Say whether a queued job belongs into *line*; not if that is still to be judged."""
        unjudged = job.order is not None and job.order.overtaken
        return not unjudged and self._line(job) == line

    def _tell(self, job: Job, due: timedelta | None) -> None:
        again = "until it is let go on" if due is None else f"for {due.total_seconds():.1f} s"
        names = job.names
        text = f"{names['handler']} keeps {names['event_type']} {names['event_id']} parked {again}"
        self._journal.notice(Notice(kind="parked", text=text))


def _stepped(job: Job) -> None:
    """Note that the job's stream has moved with it into the lot."""
    if job.order is not None:
        job.order.step = None

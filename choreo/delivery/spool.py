"""Numbered events that were held back for longer than a moment: written to the store, and settled.

Theory of operation.  A broker that does not remember what is settled above something unsettled
stops at the first event that is held back: its window fills, and with it the connection.  So what
is held goes into a numbered line of the lot, whole, and only then is its delivery settled.  While
the line is open, what else comes too soon for its stream joins it.  Whoever moves the stream calls
the line; ``Resumption`` looks at it and lets out what has its turn.  While numbers of the stream
are at work here for longer than a moment, the line's patience is put off.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Protocol

from choreo.clock import Clock, Timer
from choreo.delivery.job import Job
from choreo.delivery.lookout import Lookout
from choreo.delivery.numbered import Gap
from choreo.delivery.parking import came_back, conflicts, parking
from choreo.delivery.patience import numbers_of
from choreo.delivery.vigil import MOMENT, SHORTEST, Told, Vigil
from choreo.errors import IdConflict, StoreError
from choreo.failpoints import reached
from choreo.store.lot import Laid, Lot, Parking, line_of
from choreo.store.streams import NOT_BEGUN, Position, Positions, StreamKey

logger = logging.getLogger(__name__)

AGAIN = 1.0
"""Seconds until the store is tried again that could not write."""
MOST = 500
"""Events written in one transaction."""


class Owner(Protocol):
    """Who the events belong to."""

    def laid(self, job: Job, /) -> None:
        """Hear that the job is in the store."""
        ...

    def look(self) -> None:
        """Hear that a line may be due earlier than is known."""
        ...

    def crashed(self, error: BaseException, /) -> None:
        """Hear that writing itself failed: a bug."""
        ...


@dataclass(slots=True)
class Batch:
    """Events of one stream on their way into its line, in order."""

    stream: StreamKey
    jobs: list[Job]
    opens: bool = False
    """It opens the line if nobody has; otherwise it joins one that is open."""
    due: timedelta | None = None
    note: str = ""


class Spool:
    """Lays what is held back into numbered lines."""

    def __init__(
        self,
        lot: Lot,
        streams: Positions,
        clock: Clock,
        lookout: Lookout,
        owner: Owner,
        readmit: Callable[[Job], None],
    ) -> None:
        """Have *readmit* judge a job anew whose line is gone, or bury it if it has a reason."""
        self._lot = lot
        self._streams = streams
        self._vigil: Vigil[Job] = Vigil()
        self._timer: Timer | None = None
        self._rings = inf
        """Monotonic time at which the timer rings."""
        self._readmit = readmit
        self._clock = clock
        self._lookout = lookout
        self._owner = owner
        self._batches: deque[Batch] = deque()
        self._calls: set[bytes] = set()
        self._wanted = asyncio.Event()
        self._open: dict[StreamKey, bytes] = {}

    @property
    def busy(self) -> int:
        """Count what is to be written."""
        return len(self._batches) + len(self._calls)

    def open(self, stream: StreamKey) -> bool:
        """Say whether events of *stream* wait in the store, as far as is known."""
        return stream in self._open

    def writes(self, stream: StreamKey) -> bool:
        """Say whether events of *stream* are still to be written."""
        return any(batch.stream == stream for batch in self._batches)

    def waits_for(self, job: Job) -> bool:
        """Say the same of a job's stream; one that came from there tells so itself.

        It must not be held in memory: who brought it back waits for it, and keeps its line.
        """
        assert job.order is not None  # noqa: S101 -- only a numbered job comes too soon
        if job.parked is not None and came_back(job):
            self.found(job.order.stream, job.parked.line.line)
        return self.open(job.order.stream)

    async def learn(self, streams: Mapping[StreamKey, Job]) -> None:
        """Find out in one query which of *streams* have a line. Raises StoreError."""
        lines = {line_for(job): stream for stream, job in streams.items()}
        for line in await self._lot.open(sorted(lines)):
            if lines[line] not in self._open:
                self._open[lines[line]] = line
                # Whoever had the stream before may have died before it called.
                self.moved(lines[line])

    def lay(self, stream: StreamKey, jobs: Sequence[Job], gap: Gap, rest: float | None) -> None:
        """Open the line of *stream* with *jobs*, which have so many seconds of patience left."""
        if not jobs:
            return
        due = None if rest is None else timedelta(seconds=rest)
        note = f"waits for {numbers_of(gap)} of stream {stream[2]!r} of {stream[1]}"
        self._open[stream] = line_for(jobs[0])
        if rest is not None:
            self._lookout.begins(self._open[stream], rest)
        self._put(Batch(stream, list(jobs), opens=True, due=due, note=note))

    def join(self, stream: StreamKey, jobs: Sequence[Job]) -> None:
        """Have *jobs* wait in the line of their stream, which is open."""
        last = self._batches[-1] if self._batches else None
        if not jobs:
            return
        if last is not None and last.stream == stream and len(last.jobs) < MOST:
            last.jobs += jobs
        else:
            self._put(Batch(stream, list(jobs)))

    def moved(self, stream: StreamKey) -> None:
        """Hear that *stream* has moved: what is in its line may have its turn."""
        self._calls.add(self._open[stream])
        self._wanted.set()

    def began(self, job: Job) -> None:
        """Hear that a job has its turn: its number has come, whoever waits for it elsewhere."""
        order, handler = job.order, job.handler
        if order is None or order.step is None or handler is None or handler.gaps is None:
            return
        now = self._clock.monotonic()
        self._vigil.begun(order.stream, job, handler.gaps.patience.total_seconds(), now)
        if now + MOMENT < self._rings:
            self._arm()

    def ended(self, job: Job, *, unfinished: bool) -> None:
        """Hear that a job that had its turn is at work no more."""
        assert job.order is not None  # noqa: S101 -- only a numbered job has a turn
        stream = job.order.stream
        self._vigil.ended(stream, job)
        if not unfinished and self.open(stream) and not came_back(job):
            self.moved(stream)

    def found(self, stream: StreamKey, line: bytes) -> None:
        """Hear that events of *stream* wait in the store, whoever has laid them there."""
        self._open[stream] = line

    def closed(self, stream: StreamKey) -> None:
        """Hear that nothing of *stream* waits in the store any more."""
        if (line := self._open.pop(stream, None)) is not None:
            self._lookout.forget(line)

    def drop(self, unwanted: Callable[[Job], bool]) -> list[Job]:
        """Take out what is not written yet and *unwanted*."""
        dropped: list[Job] = []
        for batch in self._batches:
            dropped += [job for job in batch.jobs if unwanted(job)]
            batch.jobs = [job for job in batch.jobs if not unwanted(job)]
        return dropped

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        """Write meanwhile; what is not written on leaving is there to be dropped."""
        task = asyncio.get_running_loop().create_task(self._write(), name="choreo spool")
        task.add_done_callback(self._ended)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            if self._timer is not None:
                self._timer.cancel()

    def _put(self, batch: Batch) -> None:
        self._batches.append(batch)
        self._wanted.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._owner.crashed(error)

    async def _write(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            changes = bool(self._batches or self._calls)
            try:
                while self._batches:
                    await self._next()
                if self._calls:
                    await self._call(sorted(self._calls))
                if changes:
                    self._owner.look()
                due = self._vigil.due(self._clock.monotonic())
                self._arm()
                if due:
                    await self._postpone(due)
            except StoreError as error:
                names = {"events": sum(len(batch.jobs) for batch in self._batches)}
                logger.warning("spool cannot be written", extra={**names, "error": str(error)})
                await self._clock.sleep(AGAIN)
                self._wanted.set()

    def _arm(self) -> None:
        """Look again when others are to be told of what is at work."""
        due, now = self._vigil.next_due, self._clock.monotonic()
        if due is None or due >= self._rings:
            return
        if self._timer is not None:
            self._timer.cancel()
        rest = max(SHORTEST, due - now)
        self._rings = now + rest
        self._timer = self._clock.call_later(rest, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings = None, inf
        self._wanted.set()

    async def _postpone(self, due: Sequence[Told[Job]]) -> None:
        """Keep patience from running out with numbers that are at work here."""
        for told in due:
            if told.item.order is None or told.item.order.step is None:  # it was judged anew
                self._vigil.ended(told.stream, told.item)
        lines = {line_for(told.item): told for told in due if told.item.order is not None}
        there = {line: lines[line] for line in await self._lot.open(sorted(lines))}
        if not there:
            return
        stand = await self._streams.positions(sorted(told.stream for told in there.values()))
        for line, told in sorted(there.items()):
            if _is_at(told.item, stand.get(told.stream)):
                await self._lot.postpone([line], timedelta(seconds=told.patience))

    async def _call(self, lines: Sequence[bytes]) -> None:
        there = await self._lot.call(lines)
        self._calls.difference_update(lines)
        gone = {line for line in lines if line not in there}
        opening = {batch.stream for batch in self._batches}
        for stream in [key for key, line in self._open.items() if line in gone] if gone else ():
            if stream not in opening:
                self.closed(stream)

    async def _next(self) -> None:
        """Write the first batch; while it is being written, its events are nobody else's to take.

        A write that is cut short leaves it where it was: what is in the lot lies there once.
        """
        batch = self._batches[0]
        jobs = batch.jobs[:MOST]
        del batch.jobs[:MOST]
        try:
            fates = await self._lay(batch, jobs)
        except BaseException:
            batch.jobs[:0] = jobs
            raise
        if not batch.jobs:
            self._batches.popleft()
        if Laid.MOVED in fates:
            self.closed(batch.stream)
        for job, fate in zip(jobs, fates, strict=True):
            if fate is Laid.CONFLICT:
                conflicts(job)
            if fate in (Laid.LAID, Laid.THERE):
                self._owner.laid(job)
            else:
                self._readmit(job)

    async def _lay(self, batch: Batch, jobs: Sequence[Job]) -> Sequence[Laid]:
        """Write *jobs*; tell what became of each."""
        events = [parking(job, line_for(job), batch.note, numbered=True) for job in jobs]
        fates: list[Laid] = []
        reached("joining")
        if batch.opens and events:
            fates.append(await self._head(events.pop(0), batch.due))
        if events:
            fates += await self._lot.append(events)
        reached("joined")
        return fates

    async def _head(self, event: Parking, due: timedelta | None) -> Laid:
        try:
            await self._lot.park(event, (), due)
        except IdConflict:
            return Laid.CONFLICT
        return Laid.LAID


def line_for(job: Job) -> bytes:
    """Name the line in which a job waits for its number."""
    assert job.handler is not None  # noqa: S101 -- only a handler's share is numbered
    assert job.order is not None  # noqa: S101 -- as above
    _, source, stream = job.order.stream
    return line_of(job.handler.plan.id, b"gap", _bytes(source), _bytes(stream))


def _is_at(job: Job, stands: Position | None) -> bool:
    """Say whether the stream stands at the job's number, and not beyond: then it is its owner."""
    step = None if job.order is None else job.order.step
    if step is None:
        return False
    if stands is None or stands.epoch < step.epoch:
        return step.expected == NOT_BEGUN
    return stands == (step.epoch, step.expected)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

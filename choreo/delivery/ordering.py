"""Numbered events on their way into lanes: held back, let out, skipped, and found to be late.

The rim around ``Sequencer``: reads positions, writes those moves that no event's end writes, and
waits for patience to be over. What was believed of a stream and is not so (another owner, a job
given up) is found out by the store's compare-and-set; the stream's events are then judged anew.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Protocol

from choreo.delivery.job import Job, Outcome
from choreo.delivery.journal import Journal
from choreo.delivery.lanes import Lanes
from choreo.delivery.numbered import Arrival, Fate, Gap, Move, Overdue
from choreo.delivery.numbering import Numbered, placed, strayed
from choreo.delivery.patience import Patience
from choreo.delivery.positions import PassingPositions
from choreo.delivery.sequencer import Sequencer
from choreo.delivery.sequencing import Sequencing
from choreo.delivery.spool import Owner as Spooling
from choreo.delivery.spool import Spool
from choreo.environment import Environment
from choreo.errors import OutOfOrder
from choreo.reason import Reason
from choreo.store.streams import Position, StreamKey

REMEMBERED = 10_000
"""Streams whose position need not be asked for when their next event comes."""


class Owner(Spooling, Protocol):
    """Who runs what is let out."""

    def roused(self) -> None:
        """Hear that jobs became ready."""
        ...

    def unclaimed(self, job: Job, /) -> None:
        """Hear that a job is held back that may have been at work before."""
        ...

    def give_up_queued(self, job: Job, /) -> None:
        """End a job, unfinished, that is in no lane."""
        ...


class Ordering:
    """Holds numbered jobs back until it is their turn to join their lane."""

    def __init__(
        self,
        sequencing: Sequencing,
        lanes: Lanes[Job],
        environment: Environment,
        journal: Journal,
        owner: Owner,
    ) -> None:
        self._sequencing = sequencing
        self._streams = sequencing.streams
        self._sequencer: Sequencer[Job] = Sequencer(sequencing.room)
        self.lanes = self._lanes = lanes
        self._owner = owner
        self._known = PassingPositions(REMEMBERED)
        self._read: dict[StreamKey, Position] = {}
        """Where the streams of the batch that is being taken in stand, if nobody knew."""
        self.patience = Patience(sequencing, self._sequencer, environment, journal, self)
        lot = sequencing.lot
        books = (self._streams, environment.clock, self.patience.lookout)
        self.spool = Spool(lot, *books, owner, self._readmit) if lot else None
        """Where what is held back for long is written."""
        self.wanted = sequencing.wanted
        """Whether any handler has its events put in order."""

    @property
    def deciding(self) -> int:
        """Count the gaps that are being decided about, and what is on its way to the store."""
        return self.patience.deciding + (0 if self.spool is None else self.spool.busy)

    @property
    def next_due(self) -> float | None:
        """Monotonic time at which patience with some gap is over."""
        return self.patience.next_due

    def watching(self) -> AbstractAsyncContextManager[object]:
        """Decide about gaps whose patience is over, and write what is to wait, meanwhile."""
        return _both(self.patience.watching(), None if self.spool is None else self.spool.writing())

    # -- taking in ----------------------------------------------------------------------------

    async def learn(self, jobs: Iterable[Job]) -> None:
        """Find *jobs*' places, and where their streams stand. Raises StoreError, RegistryError."""
        unknown: dict[StreamKey, Job] = {}
        for job in jobs:
            handler, envelope = job.handler, job.received.envelope
            if handler is None or handler.gaps is None or envelope is None:
                continue
            if handler.number and (envelope.sequence or not job.reason):  # condemned: read no more
                job.order = await placed(handler.index, handler.number, envelope)
            if job.order is not None and not self._stands(job.order.stream):
                unknown[job.order.stream] = job
        self._read.clear()
        if unknown:
            found = await self._streams.positions(sorted(unknown))
            self._read.update((stream, found.get(stream, Position())) for stream in unknown)
            if self.spool is not None:
                await self.spool.learn(unknown)

    def admit(self, job: Job) -> None:
        """Let the job into its lane, now or when it is its turn."""
        order = job.order
        if order is None:
            self._lanes.add(job.lane, job)
        elif self._opened(job, order):
            self.take(self._offer(job, order))
        else:
            order.overtaken = True
            self._lanes.add(job.lane, job)

    def resume(self, job: Job, *, give_up: bool) -> Gap | None:
        """Let a job in that waited in the store, or tell the gap before it, unless given up."""
        order = job.order
        if order is None or not self._opened(job, order):
            self.admit(job)
            return None
        order.unasked = True
        found = self._sequencer.turn(order.stream, self._arrival(job, order), give_up=give_up)
        if isinstance(found, Gap):
            return found
        self.take(found)
        return None

    async def confirm(self, gap: Gap) -> bool:
        """Say whether a stream stands where it is believed to. Raises StoreError."""
        stream = gap.stream
        stands = self._sequencer.stands(stream) or self._known.get(stream) or Position()
        found = (await self._streams.positions((stream,))).get(stream)
        if found is not None and found > stands:
            self.doubt(stream)
            return False
        return True

    def drop(self, unwanted: Callable[[Job], bool]) -> list[Job]:
        """Take out what is held back and *unwanted*, and trust no position that is remembered."""
        self._known.clear()
        spooled = [] if self.spool is None else self.spool.drop(unwanted)
        return [*spooled, *self._sequencer.drop(unwanted)]

    # -- running ------------------------------------------------------------------------------

    def late(self, job: Job) -> Outcome | None:
        """Decide about a job that the inbox does not know although its number has been (R6)."""
        order, handler = job.order, job.handler
        assert order is not None  # noqa: S101 -- only a numbered job has a past
        assert handler is not None  # noqa: S101 -- as above
        assert handler.gaps is not None  # noqa: S101 -- as above
        reason, order.past = order.past, None
        # A replay is late by its nature, and somebody wants it handled all the same.
        if job.received.generation:
            return None
        if handler.gaps.late == "drop":
            return Outcome.LATE
        if handler.gaps.late == "dead_letter":
            job.reason = reason
            job.error = OutOfOrder(
                f"number {order.number} came after its stream had gone on"
                if reason is Reason.SEQUENCE_LATE
                else f"epoch {order.epoch} of its stream is over"
            )
        return None

    async def move(self, job: Job) -> None:
        """Write the step of a job whose end writes none. Raises StoreError."""
        order = job.order
        if order is None or order.step is None:
            return
        step, stream = order.step, order.stream
        fits = (await self._streams.move((step,)))[0]
        order.step = None
        if not fits:
            self.doubt(stream)

    def ended(self, job: Job, *, unfinished: bool) -> None:
        """Hear that a job that was let out has ended, or was given up."""
        order = job.order
        if order is None or not order.life:
            return
        if self.spool is not None:
            self.spool.ended(job, unfinished=unfinished)
        if unfinished:
            if self._sequencer.knows(order.stream):
                self.doubt(order.stream)
            return
        position = self._sequencer.ended(order.stream, order.life)
        if position is not None:
            self._known.set(order.stream, position)

    async def judge_anew(self, job: Job) -> None:
        """Read where the job's stream stands, and let out again what is in order by that."""
        order = job.order
        assert order is not None  # noqa: S101 -- only a numbered job can be overtaken
        stream, lane = order.stream, job.lane
        found = await self._streams.positions((stream,))
        behind = self._lanes.drop_behind(
            lane, lambda other: other.order is not None and other.order.stream == stream
        )
        held = self._sequencer.reset(stream)
        self._known.set(stream, found.get(stream, Position()))
        placed = False  # for what another one lets out has that one before it
        for each in (job, *behind, *held):
            assert each.order is not None  # noqa: S101 -- as above
            each.order.life, each.order.step, each.order.past = 0, None, None
            each.order.overtaken, each.order.unasked = False, True
            self._opened(each, each.order)
            for move in self._offer(each, each.order):
                if each is job is move.item and move.fate in LET_OUT:
                    self._let_out(move)
                    self._lanes.again(job)
                    placed = True
                else:
                    self.take((move,))
        if not placed:
            self._owner.unclaimed(job)
            self._lanes.release(lane)
        self._owner.roused()

    # -- what is decided ----------------------------------------------------------------------

    def take(self, moves: Iterable[Move[Job]], /) -> None:
        """Let out what may go on."""
        for move in moves:
            order = move.item.order
            if move.fate in LET_OUT:
                self._let_out(move)
                self._lanes.add(move.item.lane, move.item)
            elif move.fate is not Fate.HELD:
                self._quarantine(move)
            elif self.spool is not None and order is not None and self.spool.waits_for(move.item):
                waiting = self._waiting(self._sequencer.withdraw(order.stream))
                self.spool.join(order.stream, waiting)
        self.patience.arm()

    def lay(self, overdue: Overdue[Job], /) -> None:
        """Have what is held wait in the store."""
        waiting = self._waiting(move.item for move in overdue.moves)
        if self.spool is not None:
            self.spool.lay(overdue.gap.stream, waiting, overdue.gap, overdue.rest)

    def doubt(self, stream: StreamKey, /) -> None:
        """Have all that is held of *stream* judged anew, in the order of their numbers."""
        self._known.forget(stream)
        for job in self._sequencer.reset(stream):
            assert job.order is not None  # noqa: S101 -- only numbered jobs are held
            job.order.overtaken = True
            self._lanes.add(job.lane, job)
        self._owner.roused()

    def waited(self) -> None:
        """Have begin what was let out."""
        self._owner.roused()

    def crashed(self, error: BaseException, /) -> None:
        """Hear that deciding itself failed: a bug."""
        self._owner.crashed(error)

    # -- within -------------------------------------------------------------------------------

    def _readmit(self, job: Job) -> None:
        if job.reason is not None:
            self._bury(job)
        else:
            self.admit(job)
        self._owner.roused()

    def _stands(self, stream: StreamKey) -> bool:
        return self._sequencer.knows(stream) or self._known.get(stream) is not None

    def _opened(self, job: Job, order: Numbered) -> bool:
        """Open the job's stream where it stands; False if nobody knows that here."""
        stream, handler = order.stream, job.handler
        assert handler is not None  # noqa: S101 -- only a handler's share is numbered
        assert handler.gaps is not None  # noqa: S101 -- as above
        if not self._sequencer.knows(stream):
            position = self._read.pop(stream, None) or self._known.get(stream)
            if position is None:
                return False
            linger = self._sequencing.linger(handler.gaps)
            self._sequencer.open(stream, handler.gaps, position, linger)
        return True

    def _offer(self, job: Job, order: Numbered) -> Sequence[Move[Job]]:
        arrival = self._arrival(job, order)
        laid = self.spool is not None and self.spool.open(order.stream)
        return self._sequencer.offer(order.stream, arrival, arrival.at, laid=laid)

    def _arrival(self, job: Job, order: Numbered) -> Arrival[Job]:
        now = self.patience.lookout.now
        return Arrival(order.epoch, order.number, job.received.size, job, now)

    def _waiting(self, jobs: Iterable[Job]) -> list[Job]:
        """Give back what is in the store already; return the others, which are to be."""
        there = list(jobs)
        for job in there:
            if job.parked is not None:
                self._owner.give_up_queued(job)
        return [job for job in there if job.parked is None]

    def _let_out(self, move: Move[Job]) -> None:
        order = move.item.order
        assert order is not None  # noqa: S101 -- only numbered jobs are offered
        order.life = self._sequencer.life(order.stream)
        order.step = move.step
        order.past = LET_OUT[move.fate]
        if self.spool is not None:
            self.spool.began(move.item)

    def _quarantine(self, move: Move[Job]) -> None:
        job, order = move.item, move.item.order
        assert order is not None  # noqa: S101 -- only numbered jobs are offered
        if move.fate is Fate.JUMP:
            job.reason = Reason.SEQUENCE_INVALID
            job.error = OutOfOrder(strayed(order))
        else:
            job.reason = Reason.SEQUENCE_OVERFLOW
            job.error = OutOfOrder(f"no room to hold number {order.number} until its turn")
        self._bury(job)

    def _bury(self, job: Job) -> None:
        """Bury a job at once: its lane may be held for as long as a predecessor is tried again."""
        job.order, job.lane = None, object()
        self._lanes.add(job.lane, job)


LET_OUT: Mapping[Fate, Reason | None] = {
    Fate.READY: None,
    Fate.PAST: Reason.SEQUENCE_LATE,
    Fate.STALE: Reason.SEQUENCE_STALE,
}
"""Fates with which a job joins its lane, and what it is buried for if nobody knows it."""


@asynccontextmanager
async def _both(
    first: AbstractAsyncContextManager[None], second: AbstractAsyncContextManager[None] | None
) -> AsyncGenerator[None]:
    async with first, second or nullcontext():
        yield

"""Numbered events on their way into lanes: held back, let out, skipped, and found to be late.

The rim around ``Sequencer``: reads positions, writes those moves that no event's end writes, and
waits for patience to be over. What was believed of a stream and is not so (another owner, a job
given up) is found out by the store's compare-and-set; the stream's events are then judged anew.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from choreo.broker import Notice
from choreo.clock import Timer
from choreo.delivery.job import Job, Outcome
from choreo.delivery.journal import Journal
from choreo.delivery.lanes import Lanes
from choreo.delivery.numbered import Arrival, Fate, Move, Overdue
from choreo.delivery.numbering import Numbered, numbered
from choreo.delivery.positions import PassingPositions
from choreo.delivery.sequencer import Sequencer
from choreo.delivery.sequencing import Sequencing
from choreo.environment import Environment
from choreo.errors import BrokerError, OutOfOrder, StoreError
from choreo.reason import Reason
from choreo.store.streams import Position, StreamKey

logger = logging.getLogger(__name__)

AGAIN = 1.0
"""Seconds until a gap is looked at again that could not be decided about."""

REMEMBERED = 10_000
"""Streams whose position need not be asked for when their next event comes."""


class Owner(Protocol):
    """Who runs what is let out."""

    def roused(self) -> None:
        """Hear that jobs became ready."""
        ...

    def unclaimed(self, job: Job, /) -> None:
        """Hear that a job is held back that may have been at work before."""
        ...

    def crashed(self, error: BaseException, /) -> None:
        """Hear that deciding itself failed: a bug."""
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
        self._streams = sequencing.streams
        self._ask = sequencing.ask
        self._sequencer: Sequencer[Job] = Sequencer(sequencing.room)
        self._lanes = lanes
        self._clock = environment.clock
        self._journal = journal
        self._owner = owner
        self._known = PassingPositions(REMEMBERED)
        self._read: dict[StreamKey, Position] = {}
        """Where the streams of the batch that is being taken in stand, if nobody knew."""
        self._timer: Timer | None = None
        self._armed: float | None = None
        self._due = asyncio.Event()
        self.wanted = sequencing.wanted
        """Whether any handler has its events put in order."""
        self.deciding = 0
        """Gaps that are being decided about."""

    @property
    def held(self) -> int:
        """Count the events that wait for a predecessor."""
        return self._sequencer.events

    @property
    def next_due(self) -> float | None:
        """Monotonic time at which patience with some gap is over."""
        return self._sequencer.next_due

    # -- taking in ----------------------------------------------------------------------------

    async def learn(self, jobs: Iterable[Job]) -> None:
        """Find the places of *jobs*, and where their streams stand. Raises StoreError."""
        unknown: set[StreamKey] = set()
        for job in jobs:
            handler, envelope = job.handler, job.received.envelope
            if handler is None or handler.gaps is None or envelope is None:
                continue
            if handler.number is not None:
                job.order = numbered(handler.index, handler.number, envelope)
            if job.order is not None and not self._stands(job.order.stream):
                unknown.add(job.order.stream)
        self._read.clear()
        if unknown:
            found = await self._streams.positions(sorted(unknown))
            self._read.update((stream, found.get(stream, Position())) for stream in unknown)

    def admit(self, job: Job) -> None:
        """Let the job into its lane, now or when it is its turn."""
        order = job.order
        if order is None:
            self._lanes.add(job.lane, job)
        elif self._opened(job, order):
            self._take(self._offer(job, order))
        else:
            order.overtaken = True
            self._lanes.add(job.lane, job)

    def drop(self, unwanted: Callable[[Job], bool]) -> list[Job]:
        """Take out what is held back and *unwanted*, and trust no position that is remembered."""
        self._known.clear()
        return self._sequencer.drop(unwanted)

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
            self._doubt(stream)

    def ended(self, job: Job, *, unfinished: bool) -> None:
        """Hear that a job that was let out has ended, or was given up."""
        order = job.order
        if order is None or not order.life:
            return
        if unfinished:
            if self._sequencer.knows(order.stream):
                self._doubt(order.stream)
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
        behind = self._lanes.drop_behind(lane, lambda other: _within(other, stream))
        held = self._sequencer.reset(stream)
        self._known.set(stream, found.get(stream, Position()))
        placed = False
        for each in (job, *behind, *held):
            assert each.order is not None  # noqa: S101 -- as above
            each.order.life, each.order.step, each.order.past = 0, None, None
            each.order.overtaken = False
            self._opened(each, each.order)
            for move in self._offer(each, each.order):
                if move.item is job and move.fate in LET_OUT:
                    self._let_out(move)
                    self._lanes.again(job)
                    placed = True
                else:
                    self._take((move,))
        if not placed:
            self._owner.unclaimed(job)
            self._lanes.release(lane)
        self._owner.roused()

    # -- patience -----------------------------------------------------------------------------

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Decide about gaps whose patience is over, meanwhile."""
        task = asyncio.get_running_loop().create_task(self._watch(), name="choreo gaps")
        task.add_done_callback(self._ended)
        try:
            yield
        finally:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._owner.crashed(error)

    async def _watch(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            due = self._sequencer.due(self._clock.monotonic())
            self.deciding = len(due)
            for stream in due:
                await self._decide(stream)
                self.deciding -= 1
            self._arm()
            self._owner.roused()

    async def _decide(self, stream: StreamKey) -> None:
        try:
            position = (await self._streams.positions((stream,))).get(stream)
            stands = self._sequencer.stands(stream)
            if position is not None and stands is not None and position > stands:
                self._doubt(stream)
                return
            overdue = self._sequencer.decide(stream, self._clock.monotonic())
            if overdue is None:
                return
            if overdue.decision == "resend":
                await self._ask(overdue.gap)
        except (StoreError, BrokerError) as error:
            names = {"stream": stream, "error": str(error)}
            logger.warning("a gap cannot be decided about yet", extra=names)
            self._sequencer.postpone(stream, self._clock.monotonic() + AGAIN)
        else:
            self._tell(overdue)
            self._take(overdue.moves)

    def _tell(self, overdue: Overdue[Job]) -> None:
        gap = overdue.gap
        _, source, stream = gap.stream
        numbers = f"{gap.first} to {gap.last}" if gap.last else "its beginning"
        text = f"{TOLD[overdue.decision]} {numbers} of stream {stream!r} of {source}"
        missing = gap.last - gap.first + 1 if gap.last else 0
        self._journal.notice(Notice(kind="sequence_gap", text=text, missing=missing))

    def _arm(self) -> None:
        due = self._sequencer.next_due
        if due == self._armed and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = due
        if due is not None:
            rest = max(0.0, due - self._clock.monotonic())
            self._timer = self._clock.call_later(rest, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._due.set()

    # -- within -------------------------------------------------------------------------------

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
            self._sequencer.open(stream, handler.gaps, position)
        return True

    def _offer(self, job: Job, order: Numbered) -> Sequence[Move[Job]]:
        arrival = Arrival(order.epoch, order.number, job.received.size, job)
        return self._sequencer.offer(order.stream, arrival, self._clock.monotonic())

    def _take(self, moves: Iterable[Move[Job]]) -> None:
        for move in moves:
            if move.fate in LET_OUT:
                self._let_out(move)
                self._lanes.add(move.item.lane, move.item)
            elif move.fate is not Fate.HELD:
                self._quarantine(move)
        self._arm()

    def _let_out(self, move: Move[Job]) -> None:
        order = move.item.order
        assert order is not None  # noqa: S101 -- only numbered jobs are offered
        order.life = self._sequencer.life(order.stream)
        order.step = move.step
        order.past = LET_OUT[move.fate]

    def _quarantine(self, move: Move[Job]) -> None:
        """Bury a job at once: its lane may be held for as long as a predecessor is tried again."""
        job, order = move.item, move.item.order
        assert order is not None  # noqa: S101 -- only numbered jobs are offered
        job.order = None
        job.lane = object()
        if move.fate is Fate.JUMP:
            job.reason = Reason.SEQUENCE_INVALID
            job.error = OutOfOrder("its number is none, or far beyond where its stream stands")
        else:
            job.reason = Reason.SEQUENCE_OVERFLOW
            job.error = OutOfOrder(f"no room to hold number {order.number} until its turn")
        self._lanes.add(job.lane, job)

    def _doubt(self, stream: StreamKey) -> None:
        """Have all that is held of *stream* judged anew, in the order of their numbers."""
        self._known.forget(stream)
        for job in self._sequencer.reset(stream):
            assert job.order is not None  # noqa: S101 -- only numbered jobs are held
            job.order.overtaken = True
            self._lanes.add(job.lane, job)
        self._owner.roused()


LET_OUT: Mapping[Fate, Reason | None] = {
    Fate.READY: None,
    Fate.PAST: Reason.SEQUENCE_LATE,
    Fate.STALE: Reason.SEQUENCE_STALE,
}
"""Fates with which a job joins its lane, and what it is buried for if nobody knows it."""

TOLD = {
    "skip": "giving up",
    "wait": "waiting for",
    "resend": "asking again for",
}


def _within(job: Job, stream: StreamKey) -> bool:
    return job.order is not None and job.order.stream == stream

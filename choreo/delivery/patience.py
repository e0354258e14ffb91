"""Waiting for what is missing in numbered streams: until it comes, or patience is over."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

from choreo.broker import Notice
from choreo.clock import Timer
from choreo.delivery.job import Job
from choreo.delivery.journal import Journal
from choreo.delivery.lookout import GLANCE, SLACK, Lookout
from choreo.delivery.numbered import Gap, Move, Overdue
from choreo.delivery.sequencer import Sequencer
from choreo.delivery.sequencing import Sequencing
from choreo.environment import Environment
from choreo.errors import BrokerError, StoreError
from choreo.store.streams import StreamKey

logger = logging.getLogger(__name__)

AGAIN = 1.0
"""Seconds until a gap is looked at again that could not be decided about, and between two looks at
gaps that are waited for however long it takes: another owner may have filled them."""
TICK = 0.5
"""Seconds between two looks at the clock, at least: they show that the process stood still."""
PARTS = 8
"""Of longer waits, each such look is after one of so many parts of what is left."""
TOLD = {
    "skip": "giving up",
    "wait": "waiting for",
    "park": "parked until somebody lets it go on without",
    "resend": "asking again for",
}


class Owner(Protocol):
    """Who does what is decided."""

    def take(self, moves: Iterable[Move[Job]], /) -> None:
        """Let out what may go on."""
        ...

    def lay(self, overdue: Overdue[Job], /) -> None:
        """Have what is held wait in the store."""
        ...

    def doubt(self, stream: StreamKey, /) -> None:
        """Have all that is held of *stream* judged anew."""
        ...

    def waited(self) -> None:
        """Hear that what was due is decided."""
        ...

    def crashed(self, error: BaseException, /) -> None:
        """Hear that deciding itself failed: a bug."""
        ...


class Patience:
    """Decides about gaps when it is time."""

    def __init__(
        self,
        sequencing: Sequencing,
        sequencer: Sequencer[Job],
        environment: Environment,
        journal: Journal,
        owner: Owner,
    ) -> None:
        self._streams = sequencing.streams
        self._ask = sequencing.ask
        self._sequencer = sequencer
        self._clock = environment.clock
        self._journal = journal
        self._owner = owner
        self._timer: Timer | None = None
        self._rings = 0.0
        """Monotonic time at which the timer rings, if nothing stands still."""
        self._armed: float | None = None
        self._due = asyncio.Event()
        self._endless: set[StreamKey] = set()
        self._look: Timer | None = None
        self.deciding = 0
        """Gaps that are being decided about."""
        self.lookout = Lookout(environment.clock)

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Decide about gaps whose patience is over, meanwhile."""
        task = asyncio.get_running_loop().create_task(self._watch(), name="choreo gaps")
        task.add_done_callback(self._ended)
        try:
            yield
        finally:
            task.cancel()
            if self._look is not None:
                self._look.cancel()

    @property
    def next_due(self) -> float | None:
        """Monotonic time at which patience with some gap is over, as far as can be said now."""
        seen, now, sight = self._sequencer.next_due, self._clock.monotonic(), self.lookout.sight
        if seen is None:
            return None
        due = sight.moment(seen)
        return due if due > now or sight.through(sight.next_look, now) else now + GLANCE

    def arm(self) -> None:
        """Wait for the next deadline there is."""
        due = self._sequencer.next_due
        if due == self._armed and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = due
        if due is not None:
            self._wind(due)

    def _wind(self, due: float) -> None:
        now = self._clock.monotonic()
        rest = max(0.0, self.lookout.sight.moment(due) - now)
        if rest > TICK:
            rest = max(TICK, rest / PARTS)
        self._rings = now + rest
        self._timer = self._clock.call_later(rest, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now, sight = self._clock.monotonic(), self.lookout.sight
        sight.stood(now - self._rings, now)
        if self._armed is not None and sight.moment(self._armed) > now + SLACK:
            self._wind(self._armed)
        else:
            self._due.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._owner.crashed(error)

    async def _watch(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            await self.lookout.look()
            due = self._due_now()
            self.deciding = len(due)
            for stream in due:
                await self._decide(stream)
                self.deciding -= 1
            await self._look_around()
            self.arm()
            self._owner.waited()

    def _due_now(self) -> list[StreamKey]:
        if self.lookout.sight.rest(self._clock.monotonic()) > SLACK:
            return []
        return self._sequencer.due(self.lookout.now + SLACK)

    async def _look_around(self) -> None:
        """See in one query whether others have moved streams that are waited for without end."""
        if not self._endless or self._look is not None:
            return
        self._look = self._clock.call_later(AGAIN, self._look_again)
        asked = sorted(self._endless)
        try:
            found = await self._streams.positions(asked)
        except StoreError as error:
            names = {"streams": len(asked), "error": str(error)}
            logger.warning("gaps that are waited for cannot be looked at", extra=names)
            return
        for stream in asked:
            stands, position = self._sequencer.stands(stream), found.get(stream)
            moved = stands is not None and position is not None and position > stands
            if moved:
                self._owner.doubt(stream)
            if moved or stands is None:
                self._endless.discard(stream)

    def _look_again(self) -> None:
        self._look = None
        self._due.set()

    async def _decide(self, stream: StreamKey) -> None:
        try:
            position = (await self._streams.positions((stream,))).get(stream)
            stands = self._sequencer.stands(stream)
            if position is not None and stands is not None and position > stands:
                self._owner.doubt(stream)
                return
            overdue = self._sequencer.decide(stream, self.lookout.now)
            if overdue is None:
                return
            if overdue.decision == "resend":
                await self._ask(overdue.gap)
        except (StoreError, BrokerError) as error:
            names = {"stream": stream, "error": str(error)}
            logger.warning("a gap cannot be decided about yet", extra=names)
            self._sequencer.postpone(stream, self.lookout.now + AGAIN)
        else:
            if overdue.decision == "lay":
                self._owner.lay(overdue)
                return
            if overdue.decision == "wait":
                self._endless.add(stream)
            self._journal.notice(told(overdue.gap, overdue.decision))
            self._owner.take(overdue.moves)


def told(gap: Gap, decision: str) -> Notice:
    """Say what becomes of a gap."""
    missing = gap.last - gap.first + 1 if gap.last else 0
    text = f"{TOLD[decision]} {numbers_of(gap)} of stream {gap.stream[2]!r} of {gap.stream[1]}"
    return Notice(kind="sequence_gap", text=text, missing=missing)


def numbers_of(gap: Gap) -> str:
    """Name what is missing."""
    return f"{gap.first} to {gap.last}" if gap.last else "its beginning"

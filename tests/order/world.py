"""What is around the sequencer, as a model: a store, a lane, a broker that redelivers."""

from collections import deque
from dataclasses import dataclass, field

from choreo.delivery.numbered import Arrival, Fate, Move, Overdue, Room
from choreo.delivery.sequencer import Sequencer
from choreo.gaps import Gaps
from choreo.store.streams import NOT_BEGUN, Advance, Position, StreamKey

STREAM: StreamKey = (0, "source", "stream")

Numbered = tuple[int, int]
"""Epoch and number: an event, which a copy of it is, too."""


@dataclass
class Table:
    """One stream's row, and what an inbox remembers."""

    position: Position = field(default_factory=Position)
    done: list[Numbered] = field(default_factory=list[Numbered])
    late: list[Numbered] = field(default_factory=list[Numbered])
    skipped: int = 0

    def fits(self, step: Advance) -> bool:
        """Compare, as the port says."""
        if step.epoch > self.position.epoch:
            return step.expected == NOT_BEGUN
        return (step.epoch, step.expected) == self.position

    def move(self, step: Advance) -> bool:
        """Compare and set."""
        if not self.fits(step):
            return False
        self.position = Position(step.epoch, step.next)
        self.skipped += step.skipped
        return True


class Process:
    """One consumer: what it holds in memory is lost with it."""

    def __init__(self, table: Table, gaps: Gaps, room: Room | None = None) -> None:
        self.table = table
        self.gaps = gaps
        self.sequencer: Sequencer[Numbered] = Sequencer(room or Room())
        self.lane: deque[tuple[int, Move[Numbered]]] = deque()
        self.unsettled: list[Numbered] = []
        self.quarantined: list[tuple[Fate, Numbered]] = []
        self.overdue: list[Overdue[Numbered]] = []
        self.now = 0.0

    def deliver(self, event: Numbered) -> None:
        """Take in what the broker hands over."""
        self.unsettled.append(event)
        self._offer(event)

    def _offer(self, event: Numbered) -> None:
        if not self.sequencer.knows(STREAM):
            self.sequencer.open(STREAM, self.gaps, self.table.position)
        arrival = Arrival(epoch=event[0], number=event[1], size=1, item=event)
        self._take(self.sequencer.offer(STREAM, arrival, self.now))

    def _take(self, moves: list[Move[Numbered]]) -> None:
        for move in moves:
            if move.fate in (Fate.READY, Fate.PAST, Fate.STALE):
                self.lane.append((self.sequencer.life(STREAM), move))
            elif move.fate is not Fate.HELD:
                self.quarantined.append((move.fate, move.item))
                self._settle(move.item)

    def run(self) -> None:
        """Handle what is first in the lane."""
        if not self.lane:
            return
        life, move = self.lane.popleft()
        known = move.item in self.table.done or move.item in self.table.late
        if move.step is None:
            if not known:
                self.table.late.append(move.item)
        elif not known and not self.table.move(move.step):
            self._start_over(move)
            return
        elif not known:
            self.table.done.append(move.item)
        self.sequencer.ended(STREAM, life)
        self._settle(move.item)

    def drain(self) -> None:
        """Handle whatever can be."""
        while self.lane:
            self.run()

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        while due := self.sequencer.due(self.now):
            for stream in due:
                overdue = self.sequencer.decide(stream, self.now)
                assert overdue is not None
                self.overdue.append(overdue)
                self._take(overdue.moves)

    def _start_over(self, move: Move[Numbered]) -> None:
        """Another owner has moved the stream: judge anew, by where it stands."""
        behind = [move.item, *(later.item for _, later in self.lane)]
        self.lane.clear()
        for item in (*behind, *self.sequencer.reset(STREAM)):
            self._offer(item)

    def _settle(self, event: Numbered) -> None:
        self.unsettled.remove(event)

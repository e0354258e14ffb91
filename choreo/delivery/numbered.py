"""What is said about numbered events on their way into order: plain data."""

from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Generic, Literal, NamedTuple, TypeVar

from choreo.gaps import Gaps
from choreo.store.streams import NOT_BEGUN, Advance, Position, StreamKey

T = TypeVar("T")

Place = tuple[int, int]
"""Epoch and number: what a stream is ordered by."""


class Fate(Enum):
    """What becomes of an event now."""

    READY = "ready"
    """It may be handled, behind all that was released of its stream before."""
    HELD = "held"
    PAST = "past"
    """Its number was released before: once it is its turn, a duplicate, or late."""
    STALE = "stale"
    """Of an epoch that its producer has ended: then a duplicate, or late as well."""
    JUMP = "jump"
    """Too far ahead to be believed."""
    OVERFLOW = "overflow"
    """There is no room to hold it."""
    LAID = "laid"
    """It was held, and is to wait in the store."""


class Move(NamedTuple, Generic[T]):
    """What becomes of one event."""

    fate: Fate
    item: T
    step: Advance | None = None
    """How its end moves the stream, if it does."""


@dataclass(slots=True)
class Arrival(Generic[T]):
    """One numbered event."""

    epoch: int
    number: int
    size: int
    item: T
    at: float = 0.0
    """Monotonic time of its arrival, noted when it is offered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What all streams of a process together may hold."""

    events: int = 5_000
    size: int = 64 * 1024 * 1024


class Gap(NamedTuple):
    """Numbers that did not come in time."""

    stream: StreamKey
    epoch: int
    first: int
    """The lowest missing number; 0 with *last* 0 where nobody knows what a stream begins with."""
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue(Generic[T]):
    """What was decided about a gap whose patience is over."""

    gap: Gap
    decision: Literal["skip", "wait", "resend", "lay"]
    """``resend`` is to ask the source; ``wait`` is told once; ``lay`` is to write to the store."""
    moves: list[Move[T]]
    """What is released, or laid, by it."""
    rest: float | None = None
    """Seconds of patience that what is laid has left; None: it waits however long it takes."""


@dataclass(slots=True)
class Stream(Generic[T]):
    """One source's numbered events for one handler, as far as they are held or released."""

    key: StreamKey
    gaps: Gaps
    stand: Position
    """Where the store stands once all that was released has ended."""
    life: int
    linger: float | None
    """Seconds after which what is held is to wait in the store, if it can."""
    held: dict[Place, list[Arrival[T]]] = field(default_factory=dict[Place, list[Arrival[T]]])
    order: list[Place] = field(default_factory=list[Place])
    """The places held, as a heap."""
    newest: int = 0
    """The highest epoch that is known to have begun."""
    events: int = 0
    size: int = 0
    pending: int = 0
    """Events released whose end is not known."""
    since: float = -inf
    """When patience with the present gap began anew, as the source was asked."""
    requests: int = 0
    laid: bool = False
    """Others of it wait in the store, and come before what begins an epoch."""
    told: Place | None = None
    """The event behind the gap that is waited for however long it takes."""
    timer: float | None = None
    """The deadline that is valid of those in the heap."""

    @property
    def reach(self) -> int | None:
        """The number that may be released next; None: whatever comes first."""
        return self.gaps.first if self.stand.next == NOT_BEGUN else self.stand.next

    @property
    def begun(self) -> float:
        """When patience with the gap before the lowest that is held began."""
        return max(self.since, self.held[self.order[0]][0].at)

    def gap(self, epoch: int, number: int) -> Gap:
        """Tell the gap before an event that does not come next."""
        reach = self.gaps.first if epoch > self.stand.epoch else self.reach
        if reach is None:
            return Gap(self.key, epoch, 0, 0)
        return Gap(self.key, epoch, reach, number - 1)

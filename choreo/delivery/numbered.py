"""What is said about numbered events on their way into order: plain data."""

from dataclasses import dataclass
from enum import Enum
from typing import Generic, Literal, NamedTuple, TypeVar

from choreo.store.streams import Advance, StreamKey

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
    decision: Literal["skip", "wait", "resend"]
    """``resend`` is to ask the source; ``wait`` is told once."""
    moves: list[Move[T]]
    """What is released by it."""

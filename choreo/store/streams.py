"""How far each numbered stream has come: the part of a store that keeps order over restarts (R3).

A stream's position moves with an event's end, in the same transaction (``End.advance``), and only
from where whoever moves it believes it to be: of two owners the second is told so and reads
it again (R13). A number that was given up stays on record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

StreamKey = tuple[int, str, str]
"""Number of the handler within its service, source, and id of the stream within the source."""

NOT_BEGUN = 0
"""What stands for the next number of a stream, or of an epoch, that nobody has begun."""


class Position(NamedTuple):
    """Where a stream stands; positions compare as they follow each other."""

    epoch: int = 0
    """Grows each time the producer begins to count anew."""
    next: int = NOT_BEGUN
    """The number that comes next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """A step of a numbered stream, valid only if it stands where it was read (R3)."""

    handler: int
    source: str
    stream: str
    epoch: int
    expected: int
    """The number at which the stream must stand; 0 for a stream that nobody has begun."""
    next: int
    """The number at which it stands afterwards."""
    skipped: int = 0
    """Numbers given up on the way, recorded as a fact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Numbers of a stream that were given up."""

    handler: int
    source: str
    stream: str
    epoch: int
    first: int
    """The lowest number given up."""
    last: int
    at: datetime


class Positions(Protocol):
    """Where streams stand. Every method raises StoreError if it cannot answer.

    An ``Advance`` fits if nobody has begun the stream and it expects ``NOT_BEGUN``; if the stream
    stands in the same epoch at the expected number; or if it stands in a lower epoch and the
    advance, which begins a new one, expects ``NOT_BEGUN``.
    """

    async def positions(self, streams: Sequence[StreamKey], /) -> Mapping[StreamKey, Position]:
        """Tell where *streams* stand; of those that nobody has begun nothing. One query for all."""
        ...

    async def move(self, advances: Sequence[Advance], /) -> Sequence[bool]:
        """Move streams without an event's end; False for each that does not fit."""
        ...


class Streams(Positions, Protocol):
    """The positions of one service's streams, and what of them was given up."""

    async def skips(self, limit: int, /) -> Sequence[Skip]:
        """List what was given up last, the latest first."""
        ...

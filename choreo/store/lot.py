"""The parking lot: a failed event and, behind it, the later ones of its key, in their order.

A *line* is what waits for one handler under one key.  It exists from the failure that opens it to
the end of its last event: whoever lays an event behind the others, and whoever lets the last one
out, are arbitrated by the line's row, so that nothing overtakes and nothing is left behind.  One
process at a time works on a line, under a lease with a fence, by the database's clock (I5, I6).

A *numbered* line is what waits behind a gap in a stream, in the order of its numbers.  Its due time
is the end of the patience with the gap; besides, whoever moves the stream *calls* the line, and it
is looked at however much patience there is.  Calling is a short cut, as the line may be opened at
the moment in which another process moves the stream: *sweeping*, from time to time, calls what was
missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from hashlib import blake2b
from typing import NamedTuple, Protocol, runtime_checkable

from choreo.message import Delivery
from choreo.store.streams import Advance

LINE_BYTES = 16
KEY_ATTRIBUTE = "partitionkey"


def line_of(handler: str, *parts: bytes) -> bytes:
    """Name a line by its handler's id and what keeps its order (BLAKE2b, RFC 7693)."""
    digest = blake2b(digest_size=LINE_BYTES)
    for part in (handler.encode(), *parts):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def key_of(delivery: Delivery) -> bytes | None:
    """Tell the key that an operator knows: where messages have none, it is an attribute."""
    if delivery.key is not None:
        return delivery.key
    return next((value for name, value in delivery.headers if name == KEY_ATTRIBUTE), None)


class Ticket(NamedTuple):
    """A place in the parking lot, and the lease under which its line is worked on."""

    place: int
    """Grows with every event that is parked."""
    fence: int


class Laid(Enum):
    """What became of an event that was to be parked."""

    LAID = "laid"
    THERE = "there"
    """It lies in the lot already."""
    CONFLICT = "conflict"
    """Another payload lies there under its id: nothing is written (I10)."""
    ABSENT = "absent"
    """It is late, and no copy of it has had its turn: nothing is written."""
    MOVED = "moved"
    """Its line is not open any more, or its numbered stream has moved: nothing is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parking:
    """One event on its way into the lot."""

    line: bytes
    """16 bytes, see ``line_of``."""
    handler: int
    """Number of its handler within the service."""
    source: str
    id: str
    generation: int
    """Which replay it is."""
    delivery: Delivery
    """As it came: topic, key, headers and body whole, and where it lay in its stream."""
    advance: Advance | None = None
    """How its going moves its numbered stream: from here on the line keeps the order."""
    note: str = ""
    """What it failed with, for people; empty for one that only waits behind another."""
    number: tuple[int, int] | None = None
    """Its epoch and number, for a numbered line; in others events wait as they came."""
    stream: str = ""
    """Id of its stream within its source, for a numbered line."""
    leaves: Ticket | None = None
    """Its place in another line, which it leaves in the same transaction."""
    late: bool = False
    """Its number was given up, unless a copy lies in a line without numbers: it is looked for only.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """One event in the lot."""

    ticket: Ticket
    handler: int | None
    """Number of its handler within the service; None if the service has it no more."""
    generation: int
    delivery: Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that this process works on for a while."""

    line: bytes
    fence: int
    attempts: int
    """Attempts of its first event that failed since it was parked."""
    numbered: bool = False
    """Its events wait behind a gap, in the order of their numbers."""
    rest: timedelta | None = timedelta(0)
    """How long it is until it is due, if it was called before; None for one that is held."""
    released: bool = False
    """Of a numbered line: an operator lets it go on, whatever it waits for."""
    doomed: bool = False
    """Its first event was given up, and so are all behind it: they go to the dead letters."""
    calls: int = 0
    """How often it was called until it was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A line as an operator is shown it."""

    line: bytes
    handler: str
    """Id of its handler, which the service may have no more."""
    topic: str
    key: bytes | None
    events: int
    attempts: int
    since: datetime
    due: datetime | None
    """Its next attempt; None if it is held until somebody lets it go on."""
    note: str
    numbered: bool


class Lot(Protocol):
    """The lot of one service. Every method raises StoreError if the store cannot answer."""

    async def park(
        self, head: Parking, behind: Sequence[Parking], due: timedelta | None, /
    ) -> bool:
        """Open the line of *head*, due after a while or held, and lay *behind* into it, in order.

        A line that is open already has *head* laid behind what is there. What lies in the lot
        already is left where it is, unless it waits there for the number that it has here. False,
        with nothing written, if a numbered stream does not stand where an advance expects it, or a
        place that is to be left is not held any more.
        Raises IdConflict, with nothing written, if another payload lies there under its id.
        """
        ...

    async def append(self, events: Sequence[Parking], /) -> Sequence[Laid]:
        """Lay events behind what waits in their lines, in order; tell what became of each.

        What has MOVED is to be judged anew. A copy that waits in a numbered line is taken out of it
        where the event is laid into one that is not: its number has come. A numbered line is called
        by what comes before all that waits in it, and by what begins a new epoch.
        """
        ...

    async def open(self, lines: Sequence[bytes], /) -> frozenset[bytes]:
        """Tell which of *lines* are open. One query for all."""
        ...

    async def take(self, limit: int, lease: timedelta, /) -> Sequence[Line]:
        """Take over at most *limit* lines that are due, or called, and nobody's; oldest due first.

        What called a line is heard by that: it must be called again to be looked at early.
        """
        ...

    async def first(self, line: Line, limit: int, /) -> Sequence[Parked]:
        """List what comes first in a line; nothing if it is another's by now, or gone."""
        ...

    async def renew(self, lines: Sequence[Line], lease: timedelta, /) -> Sequence[bool]:
        """Prolong leases; False for each that is another's by now, or gone."""
        ...

    async def leave(self, ticket: Ticket, /) -> bool:
        """Take an event out that no end takes out; False if it is not there, or not held."""
        ...

    async def put_off(self, line: Line, due: timedelta | None, note: str, /) -> bool:
        """Give a line back whose first event failed once more, due after a while or, None, held.

        For a numbered line: whose gap nothing has filled, although its source was asked. False if
        it is another's by now, or was called meanwhile.
        """
        ...

    async def wait(self, line: Line, due: timedelta | None, note: str, /) -> bool:
        """Give a numbered line back that waits for something new, as ``put_off`` does else."""
        ...

    async def heard(self, line: Line, /) -> None:
        """Give a numbered line back as it is: nothing came of what called it until it was taken."""
        ...

    async def doom(self, line: Line, /) -> bool:
        """Have all of a line without numbers go to the dead letters, whoever works on it from now.

        It is so until the line has gone, was put off, or an operator lets it go on. False if it is
        another's by now.
        """
        ...

    async def give_back(self, line: Line, /) -> None:
        """Give a line back as it is, and as called as it was, unless it is another's by now."""
        ...

    async def revive(self, lines: Sequence[bytes] | None = None, /) -> int:
        """Let lines go on at once, their attempts counted anew; return how many.

        Without names those that failed events hold. With names an operator does so: a numbered line
        goes on past the gap that it waits for.
        """
        ...

    async def postpone(self, lines: Sequence[bytes], due: timedelta, /) -> None:
        """Have numbered lines be due after so long at the earliest: what they wait for is at work.

        What is held, was released, or is due later anyway stays so; calling is not put off.
        """
        ...

    async def call(self, lines: Sequence[bytes] | None = None, /) -> frozenset[bytes]:
        """Have numbered lines looked at soon, all of them if none is named: streams have moved.

        Returns those that there are.
        """
        ...

    async def sweep(self, limit: int, /) -> int:
        """Call numbered lines whose stream has reached what comes first in them; return how many.

        Who moved the stream may not have known of the line, or have died before it called. At most
        *limit*, of those that nobody works on and nobody has called.
        """
        ...

    async def newest(self, line: Line, /) -> int:
        """Tell the highest epoch in a numbered line; 0 if there is nothing in it."""
        ...

    async def drop(self, lines: Sequence[bytes], most: int | None, /) -> int:
        """Delete at most so many of the first events of each line, or all; return how many.

        What is behind goes on at once. Whoever works on the line finds it taken away.
        """
        ...

    async def next_due(self) -> timedelta | None:
        """Tell how long it is until a line that is nobody's will be due; None if none will."""
        ...

    async def lines(self, limit: int, /) -> Sequence[Waiting]:
        """List the lines, the oldest first, also those of handlers that are no more."""
        ...


@runtime_checkable
class Attended(Protocol):
    """A store whose lot can be looked into beside a running service."""

    async def lot(self, service: str, /) -> Lot:
        """Open the lot of *service*; raise ConfigurationError for one that never ran here."""
        ...

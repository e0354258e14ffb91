"""What a relay needs of a store: rows that wait for the broker, and leases on shards of them.

An outbox holds the events of one service between the commit of the transaction that emitted them
and the broker's receipt.  A row is read where it lies until it is deleted: there is no cursor that
a transaction which commits late could fall behind (O2, O3).

A row is *ready*, or it *waits* because its lane does, or it was *set aside*, refused for good.  A
lane waits from its first refusal until none of its rows waits any more; what is added meanwhile
joins them.  Rows that wait are not looked through when ready ones are read, so that a lane that
waits for days, however long it grows, costs the others nothing (O5).

A *timer* is an emission with a delay.  It is kept in the same transaction as any other, but beside
the rows: before it is due, by the database's clock, it is in nobody's way.  Then it is *fired*: in
one transaction it stops being a timer and becomes a row, with an id, and a number if its stream has
them, after all that was there before.  From then on it is a row like any other.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from choreo.message import Message


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for each event
class Emission:
    """A message for the outbox."""

    message: Message
    identity: str
    """The event's id."""
    lane: str
    """What keeps its order: its topic and key. Events of one lane are published in order."""
    stream: str | None = None
    """The stream in which the store is to number it; None if it needs no number."""
    delay: timedelta | None = None
    """For how long it is a timer first; positive."""


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for each event
class Row:
    """One event in the outbox."""

    id: int
    """Grows with every insert; never used twice."""
    shard: int
    lane: bytes
    """Digest of what keeps its order."""
    identity: str
    message: Message
    created: datetime
    """When its transaction wrote it, by the database's clock."""
    number: int | None = None
    """Its place in its stream, if the store numbers it; the first is 1."""
    epoch: int | None = None
    """The producer epoch that the number belongs to; a later one is higher."""
    attempts: int = 0
    """How often the broker has refused it."""
    blocked: bool = False
    """It is ready, but its lane waits."""
    waiting: bool = False
    """It waits, and its lane's time has come."""
    problem: str = ""
    """Why what is kept of it cannot be read; its message is not whole then, and never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The shards that one relay holds."""

    held: Mapping[int, int] = field(default_factory=dict[int, int])
    """Shard to fence; a fence grows with every change of hands."""
    surplus: frozenset[int] = frozenset()
    """Those of them that are due to others, to be released when nothing of them is on its way."""
    relays: int = 1
    """Relays of the service that are alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A row that the broker refused, and what is to become of it."""

    row: Row
    reason: str
    attempts: int
    again: timedelta | None
    """When to try once more; None if it is quarantined, and waits for an operator."""
    aside: bool = False
    """Quarantined where it blocks nobody: its lane goes on without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of rows that were read, to be written down in one transaction."""

    accepted: Sequence[Row] = ()
    """The broker has them: deleted."""
    refused: Sequence[Refusal] = ()
    behind: Sequence[Row] = ()
    """Ready rows whose lane waits: they join those that wait."""

    def __bool__(self) -> bool:
        """Say whether there is anything to write."""
        return bool(self.accepted or self.refused or self.behind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How much lies in some shards."""

    depth: int = 0
    """Rows, counted up to a limit that the store sets."""
    oldest: timedelta | None = None
    """Age of the oldest row, those set aside left out, by the database's clock.

    A timer's is the time since it was due; before that it has none.
    """
    quarantined: int = 0
    """Rows that wait for an operator."""
    waiting: int = 0
    """Lanes that wait, for an operator or for their next attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A row that the broker has refused, as an operator is shown it."""

    row: Row
    reason: str
    due: datetime | None
    """Its next attempt; None if it is quarantined."""
    aside: bool
    behind: int
    """Rows of its lane that wait for it, counted up to a limit that the store sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delayed:
    """A timer, as an operator is shown it."""

    identity: str
    message: Message
    due: datetime


class Outbox(Protocol):
    """One service's outbox. Every method raises StoreError if the store cannot answer.

    A *holder* names one life of one relay, and is never used again after it has lost a shard.
    """

    async def keep(self, holder: str, duration: timedelta, /) -> Share:
        """Prolong the holder's leases, and take free shards up to its fair share.

        A lease lasts *duration* from some moment within this call, by the database's clock.
        """
        ...

    async def release(self, holder: str, shards: Collection[int], /) -> None:
        """Give *shards* back at once, those that are the holder's."""
        ...

    async def leave(self, holder: str, /) -> None:
        """Give everything back at once: others need no longer count with this relay."""
        ...

    async def read(self, holder: str, limit: int, /) -> Sequence[Row]:
        """Return about *limit* rows of the holder's shards, in the order of their ids per lane.

        They are ready rows, and rows of lanes that wait and whose time has come. Rows of one lane
        are its first ones. Takes no lock (O7), and as long as it takes to read what it returns.
        """
        ...

    async def fire(self, holder: str, limit: int, /) -> timedelta | None:
        """Make rows of up to *limit* timers of the holder's shards that are due, soonest first.

        Returns the time until the next is due: nothing if any were fired, or more may be due; None
        if there are no timers. However many wait, it costs what it fires.
        """
        ...

    async def settle(self, holder: str, settled: Settled, /) -> Collection[int]:
        """Write down what became of rows; return the shards that are another's by now.

        Of those nothing is written.
        """
        ...

    async def backlog(self, holder: str, /) -> Backlog:
        """Tell how much lies in the holder's shards."""
        ...


class Desk(Protocol):
    """What an operator does with refused rows. Raises StoreError if the store cannot answer."""

    async def refused(self, limit: int, /) -> Sequence[Refused]:
        """List at most *limit* of the rows that the broker has refused, oldest first."""
        ...

    async def retry(self, ids: Collection[int] | None, /) -> int:
        """Have refused rows tried at once, attempts counted anew: all, or those of *ids*.

        Returns how many. A row that was set aside goes before what its lane holds by now.
        """
        ...

    async def drop(self, ids: Collection[int], /) -> int:
        """Delete refused rows, never to be published; what waited for them goes on."""
        ...

    async def timers(self, limit: int, /) -> Sequence[Delayed]:
        """List at most *limit* of the timers, those due first before the others."""
        ...


@runtime_checkable
class Attended(Protocol):
    """A store whose outboxes an operator can reach from another process."""

    async def desk(self, service: str, /) -> Desk:
        """Open the desk of *service*; raise ConfigurationError for one that never ran here."""
        ...


@runtime_checkable
class Guest(Protocol):
    """A store that adds to its outbox within somebody else's transaction, open itself or not."""

    def lodge(
        self,
        place: object,
        service: str,
        emissions: Sequence[Emission],
        committed: Callable[[object], None] | None,
        /,
    ) -> None:
        """Insert *emissions* for *service* in the transaction that *place* has open or opens.

        *place* is the synchronous session or connection of the library that the store is built on;
        what it raises is that library's own error. Raises ConfigurationError for another kind of
        place, or one of another database. *committed* is called
        with *place* after each commit of it.
        """
        ...

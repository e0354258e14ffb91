"""What a store promises: an event's whole effect is written in one transaction, or not at all.

A store outlives the process. For each handler of a service it remembers which events ended, how
often one failed, what was emitted and not published yet, how far each numbered stream has come, and
what waits behind a failed event. A service without a store keeps the same books in memory, for one
process's life.

The unit is one handler's share of one event (``Key``). Its end is written together with what it
emitted, with the handler's own rows where it asked for the transaction, and with the position of
its stream. A unique constraint is the arbiter between processes (O13): whoever comes second is
told, and writes nothing.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from types import TracebackType
from typing import Protocol, Self

from typing_extensions import TypeVar

from choreo.store.lot import Ticket
from choreo.store.order import Order
from choreo.store.outbox import Emission, Outbox
from choreo.store.streams import Advance

T_co = TypeVar("T_co", covariant=True, default=None)
"""What a handler gets as its transaction."""

Key = tuple[int, str, str]
"""Number of the handler within its service, source and id of the event (I8)."""


class State(Enum):
    """Where one handler's share of an event stands, once anything of it is known."""

    CLAIMED = "claimed"
    """Somebody holds a lease on it."""
    DONE = "done"
    DEAD = "dead"
    """In the dead letters: only a replay is handled (I3, I12)."""
    OPEN = "open"
    """It failed, or its process died; it has not ended."""


class Verdict(Enum):
    """What became of an attempt to write."""

    WRITTEN = "written"
    DUPLICATE = "duplicate"
    """The handler had ended this event, or this idempotency key, before: nothing is written."""
    CONFLICT = "conflict"
    """The id is known with another payload: nothing is written (I10)."""
    BUSY = "busy"
    """Another process holds a lease on it (I4)."""
    FENCED = "fenced"
    """The lease under which it was handled went to another process: nothing is written (I5)."""
    MOVED = "moved"
    """The stream's position, or its lane's parking, is no longer what was read: nothing is written,
    read it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a store remembers of one key."""

    state: State
    fingerprint: bytes
    generation: int = 0
    """Replays that were handled or are being handled: 0 for the original delivery."""
    attempts: int = 0
    """Attempts that have failed so far, in all processes."""
    crashes: int = 0
    """Processes that died while they were at it (D7)."""
    first_failed: datetime | None = None


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # not frozen: one is made for each event
class Claim:
    """The wish to handle one event once."""

    key: Key
    fingerprint: bytes
    """16 bytes that two different payloads do not share."""
    at: datetime
    """When it is made, by the service's clock: from here its retention counts."""
    purpose: str | None = None
    """The business's own idempotency key: several events with the same one are one effect.

    It is used up by success only, and held by a lease; the second event leaves no trace.
    """
    generation: int = 0
    """Which replay it is; a higher one than is known is handled although the id is known (I12)."""
    forced: bool = False
    """Somebody wants that replay handled although the event, or its idempotency key, is done."""


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for each event
class End:
    """How a claim ended, with all that is written along with it."""

    claim: Claim
    state: State = State.DONE
    emitted: Sequence[Emission] = ()
    advance: Advance | None = None
    fence: int | None = None
    """The lease it was handled under, where one was taken.

    Without it what another holds is BUSY. With it, an event that ended is a DUPLICATE, whoever
    ended it, and one that did not, and is not held under it, is FENCED; a lease that ran out and
    that nobody took over is still good.
    """
    parked: Ticket | None = None
    """The place in the parking lot that it came from, and which it leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt that failed, to be remembered over a restart (D13)."""

    claim: Claim
    attempts: int
    """Attempts that have failed so far, this one included."""
    first_failed: datetime
    taken_back: bool = False
    """An outage was to blame: one that was noted counts no more, and nothing else is changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claim held for a while, by the database's clock (I6)."""

    claim: Claim
    fence: int
    """Grows with every owner: a lease taken over can be told from the one before."""


class Effect(Protocol[T_co]):
    """One open transaction in which a handler runs."""

    @property
    def verdict(self) -> Verdict:
        """WRITTEN if the claim is this transaction's; else nothing may be handled in it."""
        ...

    @property
    def transaction(self) -> T_co:
        """What the handler gets."""
        ...

    async def complete(self, end: End, /) -> Verdict:
        """Write *end*; the transaction commits on leaving only after WRITTEN.

        Raises what the handler's own unwritten changes meet with, or that it has spoiled or ended
        the transaction: that is the handler's failure. A StoreError on leaving is the store's.
        """
        ...


class Ledger(Protocol[T_co]):
    """One service's books in a store. Every method raises StoreError if the store cannot answer.

    Whatever a StoreError leaves unknown, such as a commit without an answer (O12), is found out by
    trying again: what was written is then a duplicate.
    """

    @property
    def outbox(self) -> Outbox:
        """What was emitted and is to be published."""
        ...

    async def recall(self, keys: Sequence[Key], /) -> Mapping[Key, Known]:
        """Tell what is known of *keys*; of unknown ones nothing. One query for all."""
        ...

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        """Write each of *ends* whole or not at all, many in one transaction; a verdict for each."""
        ...

    def effect(self, claim: Claim, /) -> AbstractAsyncContextManager[Effect[T_co]]:
        """Open a transaction and claim in it; leaving it without ``complete`` rolls it back.

        A twin in another process waits for this one's end before it gets its verdict (I4), or for
        as long as the store's patience lasts, and then gets StoreError.
        """
        ...

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        """Remember failed attempts; of one that has ended meanwhile nothing is changed."""
        ...

    async def lease(self, claim: Claim, owner: str, duration: timedelta, /) -> Lease | Verdict:
        """Claim for *duration*, taking over what has run out; or say why not."""
        ...

    async def renew(self, leases: Sequence[Lease], duration: timedelta, /) -> Sequence[bool]:
        """Prolong *leases*; False for each that is another's by now."""
        ...

    async def release(self, lease: Lease, /) -> None:
        """Give a lease back, its event unfinished; nothing happens if it is another's by now."""
        ...

    @property
    def order(self) -> Order:
        """What keeps this service's events in order over restarts: streams, lot and flights."""
        ...

    async def expire(self, before: datetime, limit: int, /) -> int:
        """Forget at most *limit* keys that ended *before*; return how many (O8).

        What has a copy in the lot is remembered until that has left.
        As many records of numbers that were given up before then go with them; the larger count is
        returned.
        """
        ...


class Store(Protocol[T_co]):
    """A database, or what stands in for one. Entering it connects and checks its schema."""

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        ...

    @property
    def durable(self) -> bool:
        """Say whether it outlives the process."""
        ...

    @property
    def transaction(self) -> type[object]:
        """The class of what handlers get as their transaction."""
        ...

    async def __aenter__(self) -> Self:
        """Connect; raise StoreError if it cannot be reached, SchemaError if it must be migrated."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Close all connections."""
        ...

    async def ledger(self, service: str, handlers: Sequence[str], /) -> Ledger[T_co]:
        """Open the books of *service*, whose handlers are numbered in the order given."""
        ...

    def unavailable(self, error: BaseException, /) -> bool:
        """Say whether *error*, raised by a handler, is the store's own absence and no mistake."""
        ...

"""The simulated store: the memory store's books behind a wire, with transactions that can be cut.

Theory of operation.  A database belongs to one service and outlives its processes.  A transaction
is open in the database, not in the process: it ends without effect when its process dies, and when
it stands still for too long, so that others get at the rows it held.  A commit may count and never
be answered for.  Transactions of one process that end while the call of another's commit is on its
way are committed by that call: all of them count, or none, or nobody knows.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self, cast

from choreo.clock import Clock
from choreo.errors import StoreError
from choreo.store.memory.books import Books, RowKey, Scope
from choreo.store.memory.ledger import MemoryEffect, MemoryLedger
from choreo.store.memory.lines import LotRows
from choreo.store.memory.order import OrderRows
from choreo.store.memory.outbox import Shelf, Shelves
from choreo.store.memory.transaction import MemoryTransaction
from choreo.store.port import Claim, Effect, End, Ledger, State, Store, Verdict
from choreo.testing.simulation.history import Entry, History
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.wire import Conditions, Server, Wire

IDLE = 20.0
"""Seconds after which a database ends a transaction that nobody commits."""
PATIENCE = 10.0
"""Seconds that one transaction waits for another."""


class ToldBooks(Books):
    """Books whose every end is in the history, as the moment of its commit."""

    def __init__(self, clock: Clock, history: History, time: Callable[[], float]) -> None:
        super().__init__(clock)
        self._history = history
        self._time = time

    def vacant(self, keys: list[RowKey]) -> bool:
        """Say whether nobody has an open transaction at any of *keys*."""
        return not any(key in self._busy for key in keys)

    def write(self, scope: Scope, end: End) -> None:
        """Write *end*, and tell."""
        super().write(scope, end)
        handler, source, identity = end.claim.key
        self._history.add(
            Entry(
                at=self._time(),
                kind="effect" if end.state is State.DONE else "dead",
                service=scope.service,
                handler=scope.handlers[handler],
                id=identity,
                source=source,
                emitted=tuple(emission.identity for emission in end.emitted),
                generation=end.claim.generation,
            )
        )


@dataclass(slots=True, eq=False)
class Opened:
    """A transaction in the database."""

    host: Host
    keys: list[RowKey] = field(default_factory=list[RowKey])
    effect: MemoryEffect | None = None
    ended: bool = False


class Database:
    """What one service's processes share."""

    def __init__(self, conditions: Conditions, clock: Clock, history: History) -> None:
        self.books = ToldBooks(clock, history, conditions.loop.time)
        self.server = Server(conditions, StoreError, counts="unstored", doubts="doubtful")
        self._conditions = conditions
        self._opened: list[Opened] = []

    @property
    def shelves(self) -> Sequence[Shelf]:
        """The outboxes in it."""
        parts = [part for part in self.books.parts if isinstance(part, Shelves)]
        return [shelf for part in parts for shelf in part._shelves.values()]  # noqa: SLF001 -- the world looks behind every wire

    @property
    def timers(self) -> Sequence[tuple[datetime, str]]:
        """What is to be published later: when, and its id."""
        return [
            (due, emission.identity)
            for shelf in self.shelves
            for heap in shelf.timers
            for due, _, emission in heap
        ]

    @property
    def lots(self) -> Sequence[LotRows]:
        """The parking lots in it."""
        return [part.lot for part in self.books.parts if isinstance(part, OrderRows)]

    async def begin(self, opened: Opened, scope: Scope, claim: Claim) -> Verdict:
        """Open a transaction that claims; one at a time does."""
        keys = list(scope.rows(claim))
        if not self.books.vacant(keys):
            # A call begins outside of any task, and a timeout wants one.
            await self._conditions.spawn(self._wait(keys), "lock wait")
        if opened.ended or opened.host.dead:
            raise StoreError("the connection is closed")
        verdict = self.books.judge(scope, claim, None)
        opened.effect = MemoryEffect(self.books, scope, verdict)
        if verdict is Verdict.WRITTEN:
            self.books.occupy(keys)
            opened.keys = keys
            self._opened.append(opened)
            self._conditions.later(IDLE, lambda: self.end(opened))
        return verdict

    async def _wait(self, keys: list[RowKey]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self.books.free(keys)
        except TimeoutError:
            raise StoreError("another transaction holds the event") from None

    async def commit(self, together: Sequence[Opened]) -> Sequence[StoreError | None]:
        """Commit all of *together*, unless one was ended: then all are.

        What one would write over another's is its own failure: a real database has it see that.
        """
        try:
            if any(one.ended for one in together):
                raise StoreError("the transaction was ended by the database")
            return [_committed(one) for one in together]
        finally:
            for one in together:
                self.end(one)

    def end(self, opened: Opened) -> None:
        """End a transaction; what is not committed by now never was."""
        opened.ended = True
        keys, opened.keys = opened.keys, []
        if keys:
            self._opened.remove(opened)
            self.books.vacate(keys)

    def cut(self, host: Host) -> None:
        """End the transactions of a host that is no more."""
        for opened in [one for one in self._opened if one.host is host]:
            self.end(opened)


def _committed(opened: Opened) -> StoreError | None:
    try:
        if opened.effect is not None:
            opened.effect.commit()
    except StoreError as error:
        return error
    return None


class Remote:
    """An object in the database: each of its methods is called over a wire."""

    def __init__(self, wire: Wire, inner: object) -> None:
        self._wire = wire
        self._inner = inner

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method: Callable[..., Coroutine[Any, None, object]] = getattr(self._inner, name)

        async def call(*arguments: object) -> object:
            return await self._wire.call(lambda: method(*arguments))

        return call


class RemoteOrder:
    """Streams, lot and flights in the database."""

    def __init__(self, wire: Wire, ledger: MemoryLedger) -> None:
        self.streams = Remote(wire, ledger.order.streams)
        self.lot = Remote(wire, ledger.order.lot)
        self.flights = Remote(wire, ledger.order.flights)


class RemoteEffect:
    """One open transaction, as its handler's process sees it."""

    def __init__(self, verdict: Verdict, effect: MemoryEffect, opened: Opened, wire: Wire) -> None:
        self.verdict = verdict
        self._effect = effect
        self._opened = opened
        self._wire = wire

    @property
    def transaction(self) -> MemoryTransaction:
        """What the handler gets."""
        return self._effect.transaction

    async def complete(self, end: End, /) -> Verdict:
        """Prepare *end*, which is written on leaving."""

        async def prepare() -> Verdict:
            if self._opened.ended:
                raise StoreError("the transaction was ended by the database")
            return await self._effect.complete(end)

        return await self._wire.call(prepare)


class Sharing:
    """Transactions of one process that are committed together, or not at all."""

    def __init__(self) -> None:
        self.members: list[Opened] = []
        self._waiting: list[asyncio.Future[None]] = []

    def join(self, opened: Opened) -> "asyncio.Future[None]":
        """Return what is done when it is committed; it raises StoreError if nobody knows."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.members.append(opened)
        self._waiting.append(ended)
        return ended

    def end(self, errors: Sequence[StoreError | None]) -> None:
        """Tell each what became of it."""
        for each, error in zip(self._waiting, errors, strict=True):
            if each.done():
                continue
            if error is None:
                each.set_result(None)
            else:
                each.set_exception(StoreError(*error.args))


class RemoteLedger(Remote):
    """The books of one service, from one of its processes."""

    def __init__(self, wire: Wire, database: Database, scope: Scope, host: Host) -> None:
        ledger = MemoryLedger(database.books, scope)
        super().__init__(wire, ledger)
        self._database = database
        self._scope = scope
        self._host = host
        self._sharing: Sharing | None = None
        self.order = RemoteOrder(wire, ledger)
        self.outbox = Remote(wire, ledger.outbox)

    def effect(self, claim: Claim, /) -> AbstractAsyncContextManager[Effect[MemoryTransaction]]:
        """Open a transaction and claim in it; leaving it without ``complete`` rolls it back."""
        return self._effect(claim)

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[RemoteEffect]:
        database, opened = self._database, Opened(self._host)
        try:
            verdict = await self._wire.call(lambda: database.begin(opened, self._scope, claim))
            assert opened.effect is not None  # noqa: S101 -- begin has made it
            yield RemoteEffect(verdict, opened.effect, opened, self._wire)
            if verdict is Verdict.WRITTEN:
                await self._commit(opened)
        finally:
            database.end(opened)

    async def _commit(self, opened: Opened) -> None:
        """Commit, together with all that end before the call arrives."""
        if self._sharing is not None:
            await self._sharing.join(opened)
            return
        sharing = self._sharing = Sharing()
        own = sharing.join(opened)

        async def commit() -> Sequence[StoreError | None]:
            self._close(sharing)
            return await self._database.commit(sharing.members)

        errors: Sequence[StoreError | None] | None = None
        try:
            errors = await self._wire.call(commit)
        finally:
            self._close(sharing)
            unknown = StoreError("a commit that others shared had no answer")
            sharing.end(errors or [unknown] * len(sharing.members))
            own.exception()  # who began it hears of it below, or of what it was cut short by
        await own

    def _close(self, sharing: Sharing) -> None:
        if self._sharing is sharing:
            self._sharing = None


class SimulatedStore:
    """One process's connection to the database of its service."""

    durable = True
    transaction = MemoryTransaction

    def __init__(self, database: Database, host: Host) -> None:
        self._database = database
        self._host = host
        self._wire = Wire(host, database.server)

    @property
    def url(self) -> str:
        """A name without a place."""
        return "simulated://"

    async def __aenter__(self) -> Self:
        """Connect; raise StoreError while nothing answers."""
        await self._wire.call(_nothing)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Hold nothing."""

    async def ledger(self, service: str, handlers: Sequence[str], /) -> Ledger[MemoryTransaction]:
        """Open the books of *service*."""
        scope = Scope(service, tuple(handlers))
        ledger = RemoteLedger(self._wire, self._database, scope, self._host)
        return cast("Ledger[MemoryTransaction]", ledger)

    def unavailable(self, error: BaseException, /) -> bool:
        """Say whether *error* is the store's own."""
        return isinstance(error, StoreError)


async def _nothing() -> None:
    return


_: type[Store[MemoryTransaction]] = SimulatedStore

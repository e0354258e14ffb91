"""Who may use which connection, and for what.

Theory of operation.  *Reading* is one query by itself. *Writing* is one short transaction of the
store's own. *Handling* is a transaction in which a handler runs for as long as it takes. *Asking*
is what the relay says again and again: single statements on the driver, each by itself.

SQLite has one writer: one connection, lent under a lock, whose transactions begin with ``BEGIN
IMMEDIATE``, because one that reads first and is upgraded later fails at once when another process
has written meanwhile (O9). Its readers are apart and see the last commit. PostgreSQL has a pool for
handlers, who wait for a connection in turn, and a few more for the store's own transactions, so
that the books go on however long handlers take, and the relay however long the books.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from types import TracebackType
from typing import Protocol

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from choreo.errors import StoreError
from choreo_sql.engines import postgresql_engine, sqlite_engine
from choreo_sql.failures import Telling, code
from choreo_sql.frozen import IN_VAIN, FrozenSessions
from choreo_sql.keeping import Keeping, Loan, take_back
from choreo_sql.link import Link
from choreo_sql.links import link
from choreo_sql.patience import Patience
from choreo_sql.settings import SqlSettings

BOOKS = 3
"""Connections of PostgreSQL for the store's own transactions; one more is the relay's."""
TOGETHER = 64
"""Handlers that share a transaction of SQLite's, which has one writer anyway."""


class Connections(Protocol):
    """Lends connections of one database."""

    @property
    def url(self) -> URL:
        """Where it is."""
        ...

    @property
    def together(self) -> int:
        """Most events whose handlers may share a transaction."""
        ...

    @property
    def handlers(self) -> int:
        """How many transactions of handlers there may be at once."""
        ...

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend one for queries, each for itself; raise StoreError for whatever fails inside."""
        ...

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend one in a transaction that commits on leaving; StoreError for whatever fails."""
        ...

    def handling(self) -> AbstractAsyncContextManager[Link]:
        """Lend one for handlers, in a transaction yet to begin; roll back what is left open.

        What fails inside is raised as it is.
        """
        ...

    def asking(self, *, writes: bool = False) -> AbstractAsyncContextManager[Link]:
        """Lend one for single statements on the driver, each committed by itself.

        They change nothing unless it *writes*. What fails inside is raised as it is.
        """
        ...

    def stating(self, *, writes: bool = False) -> AbstractAsyncContextManager[Link]:
        """Lend one for single statements of the books on the driver, as ``asking`` does.

        StoreError for whatever fails.
        """
        ...

    async def reach(self) -> None:
        """Raise StoreError at once if it is plain that the database cannot be opened."""
        ...

    def own(self) -> AbstractAsyncContextManager[None]:
        """Bound the store's own statements in time, and tell what fails as StoreError.

        For what is said on the connection of a handler, or of ``asking``: the others are bounded
        already.
        """
        ...

    async def close(self) -> None:
        """Close all that are not lent, and the others when they come back."""
        ...


class SqliteConnections:
    """One writer under a lock, and readers apart."""

    def __init__(self, url: URL, settings: SqlSettings) -> None:
        self.url = url
        self.together = settings.together or TOGETHER
        self.handlers = 1
        # A lock is waited for by the driver itself: this is for a disk that does not answer.
        self._patience = 2 * settings.timeout.total_seconds()
        self._bounds = Patience(self._patience)
        self._writer = sqlite_engine(url, settings, writer=True)
        self._kept = Keeping(self._writer, self._patience)
        self._readers = sqlite_engine(url, settings, writer=False)
        self._turn = asyncio.Lock()
        self._asked = Keeping(self._readers, self._patience)
        self._asking_turn = asyncio.Lock()

    async def reach(self) -> None:
        """Open the file once: the driver leaves a thread behind where that fails."""
        async with self.own():
            await asyncio.to_thread(lambda: sqlite3.connect(self.url.database or "").close())

    def own(self) -> AbstractAsyncContextManager[None]:
        """Bound the store's own statements in time, and tell what fails as StoreError."""
        return Telling(self.url, self._bounds)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a reader, which sees what was committed last."""
        async with self.own(), _lent(self._readers, self._patience) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """Lend the writer in its turn."""
        loan = Loan(self._turn, self._kept, self.own)
        async with loan as link, self.own(), link.carrier.begin():
            yield link.carrier

    def handling(self) -> AbstractAsyncContextManager[Link]:
        """Lend the writer in its turn: nothing else is written meanwhile."""
        return Loan(self._turn, self._kept, self.own)

    def asking(self, *, writes: bool = False) -> AbstractAsyncContextManager[Link]:
        """Lend the writer in its turn, or a reader that is kept for this."""
        return self.handling() if writes else Loan(self._asking_turn, self._asked, self.own)

    @asynccontextmanager
    async def stating(self, *, writes: bool = False) -> AsyncGenerator[Link]:
        """Lend the writer in its turn, or the reader that is kept."""
        async with self.asking(writes=writes) as link, self.own():
            yield link

    async def close(self) -> None:
        """Close the writer and the readers."""
        self._bounds.close()
        await self._kept.close()
        await self._asked.close()
        await _dispose(self._writer, self._readers)


class PostgresConnections:
    """A pool for handlers, and a small one for the store itself."""

    def __init__(self, url: URL, settings: SqlSettings) -> None:
        self.url = url
        self.together = settings.together or 1
        self.handlers = settings.pool
        # The server gives up first, and says why: this is for one that does not answer.
        self._patience = 1.5 * settings.timeout.total_seconds()
        self._bounds = Patience(self._patience)
        self._books = postgresql_engine(url, settings, size=BOOKS, handlers=False)
        self._lanes = postgresql_engine(url, settings, size=settings.pool, handlers=True)
        self._kept = Keeping(self._lanes, self._patience)
        self._relay = postgresql_engine(url, settings, size=1, handlers=False)
        self._asked = Keeping(self._relay, self._patience)
        self._frozen = FrozenSessions(settings)
        # The pools themselves would give up on whoever waits longer than a timeout.
        self._turn = asyncio.Semaphore(settings.pool)
        self._own_turn = asyncio.Semaphore(BOOKS)
        self._asking_turn = asyncio.Lock()

    async def reach(self) -> None:
        """Leave it to the first statement."""

    def own(self) -> AbstractAsyncContextManager[None]:
        """Bound the store's own statements in time, and tell what fails as StoreError."""
        return _Own(self.url, self._bounds, self._end_frozen)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection outside of any transaction."""
        async with self._own_turn, self.own(), _lent(self._books, self._patience) as connection:
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def _end_frozen(self) -> None:
        """Look for what was waited for; what that meets with is nobody's error."""
        if self._frozen.due():
            with suppress(StoreError):
                async with (
                    Telling(self.url, self._bounds),
                    _lent(self._books, self._patience) as one,
                ):
                    await self._frozen.end(one)

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection in a transaction."""
        async with (
            self._own_turn,
            self.own(),
            _lent(self._books, self._patience) as connection,
            connection.begin(),
        ):
            yield connection

    def handling(self) -> AbstractAsyncContextManager[Link]:
        """Lend a connection of the handlers' pool in its turn."""
        return Loan(self._turn, self._kept, self.own)

    def asking(self, *, writes: bool = False) -> AbstractAsyncContextManager[Link]:  # noqa: ARG002 -- as the port has it
        """Lend the one that is kept for this."""
        return Loan(self._asking_turn, self._asked, self.own)

    @asynccontextmanager
    async def stating(self, *, writes: bool = False) -> AsyncGenerator[Link]:  # noqa: ARG002 -- as the port has it
        """Lend one of the store's own, outside of any transaction."""
        async with self._own_turn, self.own(), _lent(self._books, self._patience) as connection:
            one = link(connection)
            try:
                yield one
            finally:
                if not (one.sound and one.at_rest):
                    await one.drop()  # who was cancelled does not know what it is at

    async def close(self) -> None:
        """Close the pools."""
        self._bounds.close()
        await self._kept.close()
        await self._asked.close()
        await _dispose(self._books, self._lanes, self._relay)


class _Own(Telling):
    """Looks for frozen sessions where a lock was waited for in vain."""

    __slots__ = ("_look",)

    def __init__(self, url: URL, patience: Patience, look: Callable[[], Awaitable[None]]) -> None:
        super().__init__(url, patience)
        self._look = look

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell what was raised."""
        if error is None:
            self.leave(None)
            return
        outcome: BaseException = error
        try:
            await super().__aexit__(kind, error, traceback)
        except StoreError as told:
            outcome = told
            raise
        finally:
            if isinstance(outcome, StoreError) and code(outcome) in IN_VAIN:
                await self._look()


def connections(url: URL, settings: SqlSettings) -> Connections:
    """Make the connections that suit the database of *url*, none of them open yet."""
    if url.get_backend_name() == "postgresql":
        return PostgresConnections(url, settings)
    return SqliteConnections(url, settings)


@asynccontextmanager
async def _lent(engine: AsyncEngine, patience: float) -> AsyncGenerator[AsyncConnection]:
    """Lend a connection of a pool, and take it back whatever happens meanwhile."""
    connection = await engine.connect()
    try:
        yield connection
    finally:
        await take_back(connection, patience)


async def _dispose(*engines: AsyncEngine) -> None:
    for engine in engines:
        await engine.dispose()

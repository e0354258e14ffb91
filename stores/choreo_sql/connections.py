"""Who may use which connection, and for what.

Theory of operation.  *Reading* is one query by itself. *Writing* is one short transaction of the
store's own. *Handling* is a transaction in which a handler runs for as long as it takes.

SQLite has one writer: one connection, lent under a lock, whose transactions begin with ``BEGIN
IMMEDIATE``, because one that reads first and is upgraded later fails at once when another process
has written meanwhile (O9). Its readers are apart and see the last commit. PostgreSQL has a pool for
handlers, who wait for a connection in turn, and a few more for the store's own transactions, so
that the books go on however long handlers take.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from choreo_sql.engines import postgresql_engine, sqlite_engine
from choreo_sql.failures import telling
from choreo_sql.settings import SqlSettings
from choreo_sql.transaction import guard

BOOKS = 4
"""Connections of PostgreSQL that no handler gets."""


class Connections(Protocol):
    """Lends connections of one database."""

    @property
    def url(self) -> URL:
        """Where it is."""
        ...

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend one for queries, each for itself; raise StoreError for whatever fails inside."""
        ...

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend one in a transaction that commits on leaving; StoreError for whatever fails."""
        ...

    def handling(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend one for a handler, in a transaction yet to begin; roll back what is left open.

        What fails inside is raised as it is.
        """
        ...

    async def close(self) -> None:
        """Close all that are not lent, and the others when they come back."""
        ...


class SqliteConnections:
    """One writer under a lock, and readers apart."""

    def __init__(self, url: URL, settings: SqlSettings) -> None:
        self.url = url
        self._writer = sqlite_engine(url, settings, writer=True)
        guard(self._writer)
        self._readers = sqlite_engine(url, settings, writer=False)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a reader, which sees what was committed last."""
        async with telling(self.url), self._readers.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """Lend the writer in its turn."""
        async with telling(self.url), self._turn, self._writer.begin() as connection:
            yield connection

    @asynccontextmanager
    async def handling(self) -> AsyncGenerator[AsyncConnection]:
        """Lend the writer in its turn: nothing else is written meanwhile."""
        async with self._turn, self._writer.connect() as connection:
            yield connection

    async def close(self) -> None:
        """Close the writer and the readers."""
        await _dispose(self._writer, self._readers)


class PostgresConnections:
    """A pool for handlers, and a small one for the store itself."""

    def __init__(self, url: URL, settings: SqlSettings) -> None:
        self.url = url
        self._timeout = settings.timeout.total_seconds()
        self._books = postgresql_engine(url, settings, size=BOOKS, handlers=False)
        self._lanes = postgresql_engine(url, settings, size=settings.pool, handlers=True)
        guard(self._lanes)
        # The pool itself would give up on whoever waits longer than a timeout.
        self._turn = asyncio.Semaphore(settings.pool)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection outside of any transaction."""
        async with telling(self.url), asyncio.timeout(self._timeout), self._books.connect() as one:
            yield await one.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection in a transaction."""
        async with telling(self.url), asyncio.timeout(self._timeout), self._books.begin() as one:
            yield one

    @asynccontextmanager
    async def handling(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection of the handlers' pool in its turn."""
        async with self._turn, self._lanes.connect() as connection:
            yield connection

    async def close(self) -> None:
        """Close both pools."""
        await _dispose(self._books, self._lanes)


def connections(url: URL, settings: SqlSettings) -> Connections:
    """Make the connections that suit the database of *url*, none of them open yet."""
    if url.get_backend_name() == "postgresql":
        return PostgresConnections(url, settings)
    return SqliteConnections(url, settings)


async def _dispose(*engines: AsyncEngine) -> None:
    for engine in engines:
        await engine.dispose()

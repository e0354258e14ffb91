"""Engines as choreo needs them: what each connection is told when it is opened."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

from sqlalchemy import URL, event
from sqlalchemy.engine import AdaptedConnection, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, PoolResetState

from choreo.duration import Duration
from choreo_sql.driver import connecting
from choreo_sql.frozen import BOOKS, HANDLERS
from choreo_sql.settings import SqlSettings
from choreo_sql.shared import Shared
from choreo_sql.transaction import guard

READERS = 4
"""Connections that read one SQLite file at once."""
IDLE_READERS = 2
MILLISECOND = 1000


class SqliteDriver(Protocol):
    """What is used of aiosqlite's own connection."""

    in_transaction: bool

    async def execute_fetchall(self, sql: str, parameters: object = ..., /) -> Iterable[Any]:
        """Execute a statement and fetch its rows, in one turn of the connection's thread."""
        ...

    async def rollback(self) -> None:
        """End the transaction, if there is one."""
        ...


def sqlite_engine(url: URL, settings: SqlSettings, *, writer: bool) -> AsyncEngine:
    """Make an engine over one connection that writes, or a few that only read."""
    engine = create_async_engine(
        url,
        pool_size=1 if writer else READERS,
        max_overflow=0,
        pool_timeout=settings.timeout.total_seconds(),
        hide_parameters=True,
        isolation_level=None if writer else "AUTOCOMMIT",
        pool_reset_on_return=None,  # see below
        async_creator=connecting(url.database or "", settings.timeout.total_seconds()),
    )
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"]
    if not writer:
        pragmas.append("query_only=ON")

    _keep_whole(engine)
    _prepare_with(engine, pragmas)
    if writer:
        guard(engine)
        _begin_at_once(engine)
    return engine


def _keep_whole(engine: AsyncEngine) -> None:
    """Give back no connection with a transaction in it, and close none with a lock."""

    @event.listens_for(engine.sync_engine, "reset")
    def reset(
        connection: DBAPIConnection, _entry: ConnectionPoolEntry, _state: PoolResetState
    ) -> None:
        # Asking the driver costs nothing; a rollback that is not needed would cost a thread's turn.
        if connection.driver_connection.in_transaction:
            connection.rollback()

    @event.listens_for(engine.sync_engine, "invalidate")
    def drop(
        connection: DBAPIConnection, _entry: ConnectionPoolEntry, _error: BaseException | None
    ) -> None:
        # A statement that somebody still refers to would keep a closed connection, and its lock on
        # the file, alive.
        cast("AdaptedConnection", connection).run_async(_roll_back)

    _ = reset, drop


def _prepare_with(engine: AsyncEngine, pragmas: Sequence[str]) -> None:
    """Run *pragmas* on every new connection."""

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    _ = prepare


def _begin_at_once(engine: AsyncEngine) -> None:
    """Begin every transaction as one that writes (O9)."""

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        if isinstance(connection.connection, Shared):
            return  # within a transaction that its link has begun
        driver = cast("AdaptedConnection", connection.connection.dbapi_connection)
        try:
            driver.run_async(_begin)
        except BaseException:
            # Whoever is cancelled here leaves a BEGIN behind in the driver's queue.
            connection.invalidate()
            raise

    _ = begin


def postgresql_engine(url: URL, settings: SqlSettings, *, size: int, handlers: bool) -> AsyncEngine:
    """Make an engine over *size* connections, for *handlers* or for the store's own statements."""
    limits: dict[str, Any] = {
        "lock_timeout": _milliseconds(settings.timeout),
        # Whatever the server's default is (O13), for what is said outside a transaction.
        "default_transaction_isolation": "read committed",
        # A process that was stopped must not keep its locks.
        "idle_in_transaction_session_timeout": _milliseconds(
            settings.idle if handlers else settings.timeout
        ),
    }
    if not handlers:
        limits["statement_timeout"] = limits["lock_timeout"]
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=settings.timeout.total_seconds(),
        hide_parameters=True,
        # The transactions of handlers are a link's.
        isolation_level="AUTOCOMMIT" if handlers else "READ COMMITTED",
        connect_args={
            "timeout": settings.timeout.total_seconds(),
            "server_settings": {"application_name": HANDLERS if handlers else BOOKS, **limits},
        },
    )

    if handlers:
        guard(engine)

    @event.listens_for(engine.sync_engine, "checkout")
    def look(
        connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        # The driver notices at once when a server closes: that costs no round trip, as a ping does.
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server closed this connection")

    _ = look
    return engine


async def _begin(driver: SqliteDriver) -> None:
    """Begin a transaction that writes, in one turn of the driver's thread (O9)."""
    await driver.execute_fetchall("BEGIN IMMEDIATE")


async def _roll_back(driver: SqliteDriver) -> None:
    with suppress(sqlite3.Error, ValueError):  # ValueError: it is closed already
        await driver.rollback()


def _milliseconds(span: Duration) -> str:
    return str(max(1, int(span.total_seconds() * MILLISECOND)))

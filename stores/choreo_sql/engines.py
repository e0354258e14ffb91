"""Engines as choreo needs them: what each connection is told when it is opened."""

from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from choreo.duration import Duration
from choreo_sql.settings import SqlSettings

READERS = 4
"""Connections that read one SQLite file at once."""
IDLE_READERS = 2
MILLISECOND = 1000


def sqlite_engine(url: URL, settings: SqlSettings, *, writer: bool) -> AsyncEngine:
    """Make an engine over one connection that writes, or a few that only read."""
    engine = create_async_engine(
        url,
        pool_size=1 if writer else READERS,
        max_overflow=0,
        pool_timeout=settings.timeout.total_seconds(),
        hide_parameters=True,
        isolation_level=None if writer else "AUTOCOMMIT",
        # The driver must not begin transactions by itself: it would begin them deferred (O9).
        connect_args={"timeout": settings.timeout.total_seconds(), "isolation_level": None},
    )
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"]
    if not writer:
        pragmas.append("query_only=ON")

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    if writer:

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        _ = begin
    _ = prepare
    return engine


def postgresql_engine(url: URL, settings: SqlSettings, *, size: int, handlers: bool) -> AsyncEngine:
    """Make an engine over *size* connections, for *handlers* or for the store's own statements."""
    limits: dict[str, Any] = {"lock_timeout": _milliseconds(settings.timeout)}
    if handlers:
        limits["idle_in_transaction_session_timeout"] = _milliseconds(settings.idle)
    else:
        limits["statement_timeout"] = limits["lock_timeout"]
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=settings.timeout.total_seconds(),
        hide_parameters=True,
        isolation_level="READ COMMITTED",  # whatever the server's default is: see O13
        connect_args={
            "timeout": settings.timeout.total_seconds(),
            "server_settings": {"application_name": "choreo", **limits},
        },
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def look(
        connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        # The driver notices at once when a server closes: that costs no round trip, as a ping does.
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server closed this connection")

    _ = look
    return engine


def _milliseconds(span: Duration) -> str:
    return str(max(1, int(span.total_seconds() * MILLISECOND)))

"""The tables, their version, and how they are made: safe to run twice, and by two at once."""

from collections.abc import Sequence

from sqlalchemy import URL, Column, Integer, Table, insert, inspect, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.errors import SchemaError
from choreo.store.schema import Standing
from choreo_sql import flights, inbox, lot, migrations, outbox, scopes, streams
from choreo_sql.connections import Connections
from choreo_sql.metadata import metadata
from choreo_sql.settings import shown

PARTS = (scopes, inbox, outbox, streams, lot, flights)
"""Modules that hold tables; importing them is what fills the metadata."""
VERSION = 2
LOCK = 0x63686F72656F
"""Advisory lock of PostgreSQL under which tables are made: the letters "choreo"."""

versions = Table(
    "choreo_schema",
    metadata,
    Column("only", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
)

MIGRATIONS: Sequence[tuple[int, migrations.Migrate]] = migrations.ALL
"""By the version they lead to, in order; the tables as they are now are version ``VERSION``."""


async def look(connections: Connections) -> Standing:
    """Find out which tables there are; raise StoreError if that cannot be told."""
    async with connections.reading() as connection:
        return await _standing(connection)


async def create(connections: Connections) -> Standing:
    """Make the tables where there are none; leave older and newer ones as they are."""
    async with connections.writing() as connection:
        await _lock(connection)
        standing = await _standing(connection)
        if standing.found is None or (standing.found == VERSION and standing.missing):
            await connection.run_sync(metadata.create_all)
            if standing.found is None:
                await connection.execute(insert(versions).values(only=1, version=VERSION))
        return await _standing(connection)


async def upgrade(connections: Connections) -> Standing:
    """Make the tables, or bring older ones to this version; raise SchemaError for newer ones."""
    standing = await create(connections)
    if standing.found is not None and standing.found < VERSION:
        async with connections.writing() as connection:
            await _lock(connection)
            standing = await _standing(connection)
            for version, migrate in MIGRATIONS:
                if standing.found is not None and standing.found < version:
                    await migrate(connection)
                    await connection.execute(update(versions).values(version=version))
            standing = await _standing(connection)
    check(connections.url, standing)
    return standing


def check(url: URL, standing: Standing) -> None:
    """Raise SchemaError, with the command to run, unless a service can work with the tables."""
    if standing.current:
        return
    where = shown(url)
    if standing.found is None:
        raise SchemaError(f"store {where} has no tables yet: choreo store init --store {where}")
    if standing.found > standing.known:
        raise SchemaError(
            f"store {where} has tables of version {standing.found}, made by a newer choreo; this "
            f"one works with version {standing.known}: upgrade choreo"
        )
    if standing.found < standing.known:
        raise SchemaError(
            f"store {where} has tables of version {standing.found}, and this choreo works with "
            f"version {standing.known}: stop what is running on it, then choreo store upgrade "
            f"--store {where}"
        )
    raise SchemaError(
        f"store {where} lacks {', '.join(standing.missing)}: restore them from a backup, or make "
        f"them anew, empty: choreo store init --store {where}"
    )


async def _standing(connection: AsyncConnection) -> Standing:
    names = await connection.run_sync(_tables)
    if versions.name not in names:
        return Standing(found=None, known=VERSION)
    found = await connection.scalar(select(versions.c.version))
    if found is None:
        return Standing(found=None, known=VERSION)
    missing = sorted(set(metadata.tables) - names) if found == VERSION else ()
    return Standing(found=int(found), known=VERSION, missing=missing)


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def _lock(connection: AsyncConnection) -> None:
    """Keep others from making tables at the same time; SQLite's writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})

"""How the contract reaches each store."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from choreo.store.memory import MemoryStore, MemoryTransaction
from choreo.testing.contract import StoreSetup, fresh_name
from choreo_sql import SqlStore, SqlTransaction


def memory_setup() -> StoreSetup:
    """Describe books of their own, in memory."""
    keep = MemoryStore(f"memory://{fresh_name()}")  # books live as long as a store refers to them

    async def write(transaction: MemoryTransaction, row: str) -> None:
        transaction[fresh_name()] = row

    async def written() -> Sequence[str]:
        return [str(value) for value in keep.values.values()]

    return StoreSetup(open=lambda: MemoryStore(keep.url), write=write, written=written, quiet=0.01)


def sql_setup(url: str) -> StoreSetup:
    """Describe a database; its tables are made by who opens it first."""
    handlers = SqlStore(url)

    async def write(transaction: SqlTransaction, row: str) -> None:
        insert = text("INSERT INTO effects VALUES (:row)")
        await transaction.connection.execute(insert, {"row": row})

    async def written() -> Sequence[str]:
        async with handlers, handlers.connections.reading() as connection:
            return [row for (row,) in await connection.execute(text("SELECT * FROM effects"))]

    return StoreSetup(open=lambda: SqlStore(url), write=write, written=written)


async def make_effects(url: str) -> None:
    """Make the table that handlers of the contract write to."""
    async with SqlStore(url) as store, store.connections.writing() as connection:
        await connection.execute(text("CREATE TABLE effects (row TEXT)"))


def sqlite_url(folder: Path) -> str:
    """Name a new file."""
    return f"sqlite:///{folder / 'books.db'}"

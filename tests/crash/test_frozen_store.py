"""What PostgreSQL does with the transactions of a process that says nothing."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import asyncpg
import pytest
from sqlalchemy import text

from choreo.errors import StoreError
from choreo_sql import SqlStore
from choreo_sql.frozen import BOOKS
from tests.crash.conftest import Ground

pytestmark = pytest.mark.alone

TIMEOUT = 1.0
OPEN = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state = 'idle in transaction'"
)


@pytest.mark.parametrize("pair", ["mqtt-postgresql"], indirect=True)
async def test_a_frozen_process_does_not_keep_the_locks_of_the_stores_own_transactions(
    ground: Ground,
) -> None:
    """O7: what it holds there, leases of the relay among it, would stop all other processes."""
    assert ground.database is not None
    server = ground.database.partition("?")[0]
    begun = ended = -1
    async with SqlStore(f"{ground.database}&timeout={TIMEOUT:g}") as store:
        with suppress(StoreError), ThreadPoolExecutor(1) as elsewhere:
            async with store.connections.writing() as connection:
                await connection.execute(text("SELECT 1"))
                # Nothing of this process goes on meanwhile but the thread that looks.
                begun, ended = elsewhere.submit(_watch, server).result()
                await connection.execute(text("SELECT 1"))

    assert (begun, ended) == (1, 0)


@pytest.mark.parametrize("pair", ["mqtt-postgresql"], indirect=True)
async def test_whoever_waits_for_a_process_that_was_frozen_in_the_middle_of_a_statement_ends_it(
    ground: Ground,
) -> None:
    """O7: between parsing and execution no limit of PostgreSQL holds."""
    assert ground.database is not None
    frozen = await asyncpg.connect(
        ground.database.partition("?")[0], server_settings={"application_name": BOOKS}
    )
    await frozen.execute("CREATE TABLE held (row int primary key)")
    await frozen.execute("BEGIN")
    await frozen.execute("INSERT INTO held VALUES (1)")
    await frozen.prepare("SELECT 1")

    async with SqlStore(f"{ground.database}&timeout={TIMEOUT:g}") as store:
        with pytest.raises(StoreError):
            await _hold(store)
        await _hold(store)

    assert frozen.is_closed()


async def _hold(store: SqlStore) -> None:
    async with store.connections.writing() as connection:
        await connection.execute(text("INSERT INTO held VALUES (1)"))


def _watch(server: str) -> tuple[int, int]:
    """Count open transactions that do nothing, now and when they should have been ended."""

    async def count() -> int:
        one = await asyncpg.connect(server)
        try:
            found: int = await one.fetchval(OPEN)
        finally:
            await one.close()
        return found

    begun = asyncio.run(count())
    time.sleep(2 * TIMEOUT)
    return begun, asyncio.run(count())

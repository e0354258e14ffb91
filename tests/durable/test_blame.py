"""What goes wrong in a handler is told from the store's absence: nothing is held for ever."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from choreo import Context, Service
from choreo.reason import Reason
from choreo.testing import Harness
from choreo_sql import SqlTransaction
from tests.durable.conftest import Effects
from tests.durable.shop import HASTY, Placed


async def test_a_database_error_that_is_swallowed_uses_attempts_up(
    url: str, effects: Effects
) -> None:
    """PostgreSQL aborts the transaction: another attempt would end so, too, and so would all."""
    shop: Service[SqlTransaction] = Service("shop", store=url, retry=HASTY)

    @shop.on(Placed)
    async def careless(placed: Placed, ctx: Context[SqlTransaction]) -> None:
        with pytest.raises(DBAPIError):
            await ctx.transaction.connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

        errors = [letter.error for letter in world.dead_letters]
    assert errors == [] if url.startswith("sqlite") else "begin_nested" in str(errors)


async def test_a_file_that_is_no_database_is_the_event_s_own_fault(
    url: str, effects: Effects, tmp_path: Path
) -> None:
    """A handler that opens databases of its own fails as any other does, in a transaction or not.

    Held for the store's sake, such an event would hold its key for ever.
    """
    junk = tmp_path / "upload.db"
    junk.write_text("no database" * 100)
    shop: Service[SqlTransaction] = Service("shop", store=url, retry=HASTY)

    def read() -> None:
        connection = sqlite3.connect(junk)
        try:
            connection.execute("SELECT * FROM sheets")
        finally:
            connection.close()

    @shop.on(Placed)
    async def plain(placed: Placed) -> None:
        read()

    @shop.on(Placed)
    async def within(placed: Placed, ctx: Context[SqlTransaction]) -> None:
        read()

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

        letters = sorted((letter.handler, letter.reason) for letter in world.dead_letters)
    assert letters == [("plain", Reason.RETRIES_EXHAUSTED), ("within", Reason.RETRIES_EXHAUSTED)]

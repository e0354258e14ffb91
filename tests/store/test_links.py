"""One connection serves many handlers, and nothing of one of them is left for the next."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ResourceClosedError

from choreo.store.port import Verdict
from choreo_sql import SqlTransaction
from tests.outbox.emitting import emission
from tests.store.handling import books, claim, handle, pay, payments, tell

WRITTEN = Verdict.WRITTEN


async def _driver(transaction: SqlTransaction) -> Any:  # noqa: ANN401 -- the driver's own
    return (await transaction.connection.get_raw_connection()).driver_connection


async def test_handlers_after_each_other_have_one_connection_of_the_driver(url: str) -> None:
    drivers: list[object] = []

    async def handler(transaction: SqlTransaction) -> None:
        drivers.append(await _driver(transaction))

    async with books(url) as (_, ledger):
        for number in range(3):
            await handle(ledger, str(number), handler)

    assert len(drivers) == 3
    assert len(set(map(id, drivers))) == 1


@pytest.mark.parametrize("write", [pay, tell])
async def test_what_a_task_writes_after_its_handler_is_refused_and_no_others(
    url: str, write: Callable[[SqlTransaction, str], Awaitable[object]]
) -> None:
    go_on = asyncio.Event()
    late: list[asyncio.Task[None]] = []

    async def leaving(transaction: SqlTransaction) -> None:
        async def write_late() -> None:
            await go_on.wait()
            await write(transaction, "late")

        late.append(asyncio.create_task(write_late()))

    async def next_one(transaction: SqlTransaction) -> None:
        await write(transaction, "own")
        go_on.set()
        await asyncio.wait(late)

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", leaving) is WRITTEN
        assert await handle(ledger, "2", next_one) is WRITTEN

        with pytest.raises(ResourceClosedError):
            late[0].result()
        assert await payments(store) == ["own"]


async def test_options_that_a_handler_sets_end_with_it(url: str) -> None:
    seen: list[object] = []

    async def handler(transaction: SqlTransaction) -> None:
        connection = transaction.connection
        assert connection.sync_connection is not None
        seen.append(connection.sync_connection.get_execution_options().get("mine"))
        _ = await connection.execution_options(mine="leaked")

    async with books(url) as (_, ledger):
        await handle(ledger, "1", handler)
        await handle(ledger, "2", handler)

    assert seen == [None, None]


async def test_a_savepoint_that_a_handler_left_open_is_its_own(url: str) -> None:
    async def leaving(transaction: SqlTransaction) -> None:
        _ = await transaction.connection.begin_nested()
        await pay(transaction, "within")

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", leaving) is WRITTEN
        assert await handle(ledger, "2", lambda transaction: pay(transaction, "next")) is WRITTEN

        assert await payments(store) == ["next", "within"]


async def test_a_driver_that_was_told_to_commit_past_sqlalchemy_has_failed(url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await (await _driver(transaction)).execute("COMMIT")

    async with books(url) as (_, ledger):
        with pytest.raises(Exception, match="nothing of its transaction can be committed"):
            await handle(ledger, "1", handler)

        assert await handle(ledger, "2", pay) is WRITTEN


async def test_a_constraint_put_off_until_the_commit_is_the_handlers_failure(url: str) -> None:
    """A StoreError would have the event tried again for ever, without counting."""
    orphan = text("INSERT INTO children VALUES ('nobody')")
    table = text(
        "CREATE TABLE children (parent TEXT REFERENCES payments (id) DEFERRABLE INITIALLY DEFERRED)"
    )

    async def handler(transaction: SqlTransaction) -> None:
        await pay(transaction)
        await transaction.connection.execute(orphan)

    async with books(url) as (store, ledger):
        async with store.connections.writing() as connection:
            await connection.execute(table)

        with pytest.raises(Exception, match=r"(?i)foreign key") as caught:
            await handle(ledger, "1", handler, [emission("receipt")])

        assert not store.unavailable(caught.value)
        assert await payments(store) == []
        assert await ledger.recall([claim("1").key]) == {}
        assert await handle(ledger, "2", pay) is WRITTEN

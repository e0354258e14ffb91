"""Texts that a handler has executed on the driver itself are part of its transaction."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import ResourceClosedError

from choreo.errors import StoreError
from choreo.store.port import Verdict
from choreo_sql import SqlTransaction
from choreo_sql.transaction import TransactionMisused
from tests.store.companions import paying, together
from tests.store.handling import books, handle, pay, payments, tell
from tests.store.setups import sqlite_url

WRITTEN = Verdict.WRITTEN
PAY = "INSERT INTO payments VALUES (:id)"
READ = "SELECT id FROM payments ORDER BY id"


async def test_what_a_text_writes_is_kept_with_the_events_end(url: str) -> None:
    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", lambda it: tell(it, "one")) is WRITTEN
        assert await handle(ledger, "1", lambda it: tell(it, "again")) is Verdict.DUPLICATE

        assert await payments(store) == ["one"]


async def test_a_text_and_sqlalchemy_see_what_the_other_has_written(url: str) -> None:
    seen: list[Any] = []

    async def handler(transaction: SqlTransaction) -> None:
        await tell(transaction, "a")
        await pay(transaction, "b")
        seen.extend(row[0] for row in await transaction.execute(READ))

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", handler) is WRITTEN

        assert seen == await payments(store) == ["a", "b"]


async def test_a_text_of_a_handler_that_fails_is_undone_and_no_others(shared_url: str) -> None:
    async def failing(transaction: SqlTransaction) -> None:
        await tell(transaction, "lost")
        raise LookupError

    async with books(shared_url) as (store, ledger):
        results = await together(
            ledger, [("1", paying("one")), ("2", failing), ("3", lambda it: tell(it, "three"))]
        )

        assert results[::2] == [WRITTEN, WRITTEN]
        assert isinstance(results[1], LookupError)
        assert await payments(store) == ["one", "three"]


async def test_a_savepoint_of_sqlalchemys_holds_texts_too(url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await tell(transaction, "kept")
        async with transaction.connection.begin_nested() as savepoint:
            await tell(transaction, "undone")
            await savepoint.rollback()

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", handler) is WRITTEN

        assert await payments(store) == ["kept"]


@pytest.mark.parametrize(
    "words", ["COMMIT", " rollback", "BEGIN", "END", "/* so */ commit", "-- so\n;COMMIT"]
)
async def test_a_text_cannot_end_the_transaction(url: str, words: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await tell(transaction, "lost")
        await transaction.execute(words)

    async with books(url) as (store, ledger):
        with pytest.raises(TransactionMisused):
            await handle(ledger, "1", handler)

        assert await payments(store) == []


async def test_a_value_that_a_text_lacks_is_named(url: str) -> None:
    async with books(url) as (store, ledger):
        with pytest.raises(ValueError, match="no value for :id is given to 'INSERT"):
            await handle(ledger, "1", lambda it: it.execute(PAY, {"identity": "one"}))

        assert await payments(store) == []


async def test_a_text_that_the_database_refuses_is_the_handlers_failure(url: str) -> None:
    """A StoreError would have the event tried again for ever, without counting."""

    async def handler(transaction: SqlTransaction) -> None:
        await tell(transaction, "twice")
        await tell(transaction, "twice")

    async with books(url) as (store, ledger):
        with pytest.raises(Exception, match=r"(?i)unique") as caught:
            await handle(ledger, "1", handler)

        assert not store.unavailable(caught.value)
        assert await payments(store) == []


async def test_a_text_that_failed_and_was_swallowed_spoils_what_the_database_says_it_does(
    url: str,
) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await tell(transaction, "once")
        with pytest.raises(Exception, match=r"(?i)unique"):
            await tell(transaction, "once")

    async with books(url) as (store, ledger):
        if url.startswith("postgresql"):
            with pytest.raises(TransactionMisused):
                await handle(ledger, "1", handler)
            assert await payments(store) == []
        else:
            assert await handle(ledger, "1", handler) is WRITTEN
            assert await payments(store) == ["once"]


async def test_a_database_that_is_full_is_absent_to_a_text(tmp_path: Path) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        (pages,) = (await transaction.execute("PRAGMA page_count"))[0]
        await transaction.execute(f"PRAGMA max_page_count = {pages}")
        await tell(transaction, "x" * 1_000_000)

    async with books(sqlite_url(tmp_path)) as (store, ledger):
        with pytest.raises(StoreError, match="full") as caught:
            await handle(ledger, "1", handler)

        assert store.unavailable(caught.value)


async def test_a_server_that_ends_the_session_is_absent_to_a_text(postgres_url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await transaction.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async with books(postgres_url) as (store, ledger):
        with pytest.raises(StoreError) as caught:
            await handle(ledger, "1", handler)

        assert store.unavailable(caught.value)
        assert await handle(ledger, "1", lambda it: tell(it, "later")) is WRITTEN


async def test_a_connection_first_asked_for_when_its_handler_has_returned_is_refused(
    url: str,
) -> None:
    kept: list[SqlTransaction] = []

    async def handler(transaction: SqlTransaction) -> None:
        kept.append(transaction)

    async with books(url) as (_, ledger):
        await handle(ledger, "1", handler)

        with pytest.raises(ResourceClosedError):
            _ = kept[0].connection

"""Texts that a handler puts off until it has returned are its own, however many go out at once."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import ResourceClosedError

from choreo.errors import StoreError
from choreo.store.port import Attempt, End, State, Verdict
from choreo.store.streams import Advance
from choreo_sql import SqlTransaction
from choreo_sql.ledger import SqlLedger
from choreo_sql.transaction import TransactionMisused
from tests.outbox.emitting import Place, emission
from tests.store.companions import held, known, paying, together
from tests.store.handling import Handler, books, claim, handle, payments, tell

WRITTEN, DUPLICATE = Verdict.WRITTEN, Verdict.DUPLICATE
PAY = "INSERT INTO payments VALUES (:id)"
REFUSED = {"IntegrityError", "UniqueViolationError"}
COPY = "INSERT INTO payments SELECT id || :mark FROM payments"


def putting_off(*identities: str) -> Handler:
    """Make a handler that has rows written later."""

    async def handler(transaction: SqlTransaction) -> None:
        for identity in identities:
            transaction.later(PAY, {"id": identity})

    return handler


async def failing(transaction: SqlTransaction) -> None:
    """Put something off, and fail."""
    transaction.later(PAY, {"id": "lost"})
    raise LookupError


async def test_what_is_put_off_is_kept_with_the_events_end(url: str) -> None:
    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", putting_off("one", "two")) is WRITTEN
        assert await handle(ledger, "1", putting_off("again")) is DUPLICATE

        assert await payments(store) == ["one", "two"]


async def test_what_is_put_off_comes_after_all_else_of_its_handler(url: str) -> None:
    seen: list[Sequence[Any]] = []

    async def handler(transaction: SqlTransaction) -> None:
        transaction.later(COPY, {"mark": "'"})
        transaction.later(PAY, {"id": "b"})
        seen.extend(await transaction.execute("SELECT id FROM payments"))
        await tell(transaction, "a")

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", handler) is WRITTEN

        assert seen == []
        assert await payments(store) == ["a", "a'", "b"]


async def test_what_a_handler_that_fails_put_off_is_never_said(shared_url: str) -> None:
    async with books(shared_url) as (store, ledger):
        handlers = [("1", putting_off("one")), ("2", failing), ("3", putting_off("three"))]
        results = await together(ledger, handlers)

        assert results[::2] == [WRITTEN, WRITTEN]
        assert isinstance(results[1], LookupError)
        assert await payments(store) == ["one", "three"]
        assert await known(ledger, "1", "2", "3") == {"1", "3"}


async def test_what_the_database_refuses_of_it_is_one_handlers_failure_alone(
    shared_url: str,
) -> None:
    handlers = [
        ("1", putting_off("one", "uno")),
        ("2", putting_off("two", "one")),
        ("3", paying("three")),
        ("4", putting_off("four")),
    ]
    async with books(shared_url) as (store, ledger):
        results = await together(ledger, handlers, [emission("receipt")])

        assert [results[0], *results[2:]] == [WRITTEN] * 3
        assert type(results[1]).__name__ in REFUSED
        assert isinstance(results[1], Exception)
        assert not store.unavailable(results[1])
        assert await payments(store) == ["four", "one", "three", "uno"]
        assert await known(ledger, "1", "2", "3", "4") == {"1", "3", "4"}
        assert await handle(ledger, "2", putting_off("two")) is WRITTEN


async def test_the_texts_of_one_handler_come_in_its_order(shared_url: str) -> None:
    async def copying(transaction: SqlTransaction) -> None:
        transaction.later(PAY, {"id": "b"})
        transaction.later(COPY, {"mark": "'"})

    async with books(shared_url) as (store, ledger):
        assert await together(ledger, [("1", putting_off("a")), ("2", copying)]) == [WRITTEN] * 2

        assert await payments(store) == ["a", "a'", "b", "b'"]


async def test_one_that_is_refused_keeps_the_attempts_that_were_known(shared_url: str) -> None:
    noted = Attempt(claim=claim("1"), attempts=2, first_failed=datetime.now(UTC))
    handlers = [("1", putting_off("twice", "twice")), ("2", paying("two"))]

    async with books(shared_url) as (store, ledger):
        await ledger.note([noted])
        results = await together(ledger, handlers)

        assert results[1] is WRITTEN
        assert isinstance(results[0], Exception)
        found = (await ledger.recall([claim("1").key]))[claim("1").key]
        assert (found.state, found.attempts) == (State.OPEN, 2)
        assert await payments(store) == ["two"]


async def test_one_that_is_refused_loses_what_it_said_before(shared_url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await tell(transaction, "said")
        transaction.later(PAY, {"id": "said"})

    async with books(shared_url) as (store, ledger):
        results = await together(ledger, [("1", handler), ("2", putting_off("two"))])

        assert results[1] is WRITTEN
        assert isinstance(results[0], Exception)
        assert await payments(store) == ["two"]
        assert await known(ledger, "1", "2") == {"2"}


async def test_one_that_is_refused_moves_no_stream_and_publishes_nothing(shared_url: str) -> None:
    step = Advance(handler=0, source="urn:a", stream="s", epoch=0, expected=0, next=2)

    async with books(shared_url) as (_, ledger):
        async with held(ledger):
            refused = asyncio.create_task(_numbered(ledger, step, "twice", "twice"))
            other = asyncio.create_task(handle(ledger, "2", putting_off("two")))
            await asyncio.sleep(0)
        await asyncio.wait([refused, other])

        assert type(refused.exception()).__name__ in REFUSED
        assert other.result() is WRITTEN
        assert await Place(ledger).names() == []
        assert await _numbered(ledger, step, "once") is WRITTEN


async def _numbered(ledger: SqlLedger, step: Advance, *identities: str) -> Verdict:
    async with ledger.effect(claim("1")) as effect:
        await putting_off(*identities)(effect.transaction)
        end = End(claim=claim("1"), advance=step, emitted=[emission("of one")])
        return await effect.complete(end)


@pytest.mark.parametrize("words", ["COMMIT", "/* so */ rollback"])
async def test_the_end_of_the_transaction_cannot_be_put_off(url: str, words: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        transaction.later(PAY, {"id": "lost"})
        transaction.later(words)

    async with books(url) as (store, ledger):
        with pytest.raises(TransactionMisused):
            await handle(ledger, "1", handler)

        assert await payments(store) == []


async def test_a_value_that_is_missing_is_told_at_once(url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        with pytest.raises(ValueError, match="no value for :id"):
            transaction.later(PAY, {"other": "x"})

    async with books(url) as (_, ledger):
        assert await handle(ledger, "1", handler) is WRITTEN


async def test_nothing_is_put_off_when_the_handler_has_returned(url: str) -> None:
    kept: list[SqlTransaction] = []

    async def handler(transaction: SqlTransaction) -> None:
        kept.append(transaction)

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", handler) is WRITTEN

        with pytest.raises(ResourceClosedError):
            kept[0].later(PAY, {"id": "late"})
        assert await payments(store) == []


async def test_a_store_that_goes_away_meanwhile_is_no_handlers_failure(shared_url: str) -> None:
    async def losing(transaction: SqlTransaction) -> None:
        transaction.later(PAY, {"id": "two"})
        await transaction.connection.invalidate()

    async with books(shared_url) as (store, ledger):
        results = await together(ledger, [("1", putting_off("one")), ("2", losing)])

        assert isinstance(results[0], StoreError)
        assert await payments(store) == []
        assert await handle(ledger, "1", putting_off("one")) is WRITTEN

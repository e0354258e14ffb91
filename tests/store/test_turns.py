"""Handlers that share a transaction have their turns one after the other, whoever leaves when."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.store.port import Attempt, Verdict
from choreo_sql import SqlTransaction, turns
from choreo_sql.claiming import Row, take_over
from choreo_sql.sharing import SPAN
from tests.store.companions import held, known, nothing, paying, together
from tests.store.handling import Handler, books, claim, handle, pay, payments

WRITTEN = Verdict.WRITTEN


async def test_who_is_cancelled_in_its_turn_or_before_it_takes_nothing_of_the_others(
    shared_url: str,
) -> None:
    entered = asyncio.Event()

    async def hanging(transaction: SqlTransaction) -> None:
        await pay(transaction, "lost")
        entered.set()
        await asyncio.Event().wait()

    async with books(shared_url) as (store, ledger):
        async with held(ledger) as go_on:
            one, two, three, four = [
                asyncio.create_task(handle(ledger, name, handler))
                for name, handler in [
                    ("1", paying("1")),
                    ("2", hanging),
                    ("3", paying("3")),
                    ("4", paying("4")),
                ]
            ]
            await asyncio.sleep(0)
            go_on.set()
        await entered.wait()
        three.cancel()
        two.cancel()
        await asyncio.wait([one, two, three, four])

        assert (one.result(), four.result()) == (WRITTEN, WRITTEN)
        assert two.cancelled()
        assert three.cancelled()
        assert await payments(store) == ["1", "4"]
        assert await known(ledger, "1", "2", "3", "4") == {"1", "4"}


async def test_handlers_that_take_long_have_transactions_of_their_own(shared_url: str) -> None:
    seen: list[Sequence[str]] = []

    async with books(shared_url) as (store, ledger):

        def slow(name: str) -> Handler:
            async def handler(transaction: SqlTransaction) -> None:
                seen.append(await payments(store))
                await pay(transaction, name)
                await asyncio.sleep(SPAN * 1.5)

            return handler

        assert await together(ledger, [(name, slow(name)) for name in "abc"]) == [WRITTEN] * 3

    assert seen == [[], ["a"], ["a", "b"]]


async def test_one_that_was_tried_before_and_is_too_late_undoes_nothing_of_who_took_long(
    shared_url: str,
) -> None:
    noted = Attempt(claim=claim("b"), attempts=2, first_failed=datetime.now(UTC))

    async def slow(transaction: SqlTransaction) -> None:
        await pay(transaction, "a")
        await asyncio.sleep(SPAN * 1.5)

    async with books(shared_url) as (store, ledger):
        await ledger.note([noted])
        assert await together(ledger, [("a", slow), ("b", paying("b"))]) == [WRITTEN] * 2

        assert await payments(store) == ["a", "b"]


async def test_a_handler_has_its_turn_when_the_one_before_it_has_left(shared_url: str) -> None:
    at_it: list[str] = []
    seen: list[Sequence[str]] = []

    def waiting(name: str) -> Handler:
        async def handler(_transaction: SqlTransaction) -> None:
            at_it.append(name)
            await asyncio.sleep(0)
            seen.append(list(at_it))
            at_it.remove(name)

        return handler

    async with books(shared_url) as (_, ledger):
        results = await together(ledger, [(name, waiting(name)) for name in "abc"])

        assert results == [WRITTEN] * 3
        assert seen == [["a"], ["b"], ["c"]]


async def test_who_is_cancelled_while_it_waits_for_its_turn_takes_no_others(
    shared_url: str,
) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def hanging(_transaction: SqlTransaction) -> None:
        entered.set()
        await go_on.wait()

    async with books(shared_url) as (store, ledger):
        async with held(ledger):
            tasks = [
                asyncio.create_task(handle(ledger, name, handler))
                for name, handler in [("1", hanging), ("2", nothing), ("3", paying("3"))]
            ]
            await asyncio.sleep(0)
        await entered.wait()
        tasks[1].cancel()
        await asyncio.wait(tasks[1:2])
        go_on.set()

        assert await asyncio.gather(*tasks[::2]) == [WRITTEN, WRITTEN]
        assert await payments(store) == ["3"]
        assert await known(ledger, "1", "2", "3") == {"1", "3"}


async def test_one_whose_time_is_over_while_its_row_is_taken_is_handled_in_the_next(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken for it must not be committed by the others: it would pass for done (I2)."""
    noted = Attempt(claim=claim("b"), attempts=2, first_failed=datetime.now(UTC))

    async def slow(connection: AsyncConnection, rows: Sequence[Row]) -> None:
        await take_over(connection, rows)
        if rows:
            await asyncio.sleep(SPAN * 1.5)

    async with books(shared_url) as (store, ledger):
        await ledger.note([noted])
        monkeypatch.setattr(turns, "take_over", slow)
        assert await together(ledger, [("a", paying("a")), ("b", paying("b"))]) == [WRITTEN] * 2

        assert await payments(store) == ["a", "b"]


async def test_one_that_is_cancelled_when_its_row_was_taken_is_not_done(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = Attempt(claim=claim("b"), attempts=2, first_failed=datetime.now(UTC))
    tasks: list[asyncio.Task[Verdict]] = []

    async def cancelling(connection: AsyncConnection, rows: Sequence[Row]) -> None:
        await take_over(connection, rows)
        if rows:  # it is called by then, and has not heard
            asyncio.get_running_loop().call_soon(tasks[1].cancel)

    async with books(shared_url) as (store, ledger):
        await ledger.note([noted])
        with monkeypatch.context() as patch:
            patch.setattr(turns, "take_over", cancelling)
            async with held(ledger):
                tasks += [asyncio.create_task(handle(ledger, name, paying(name))) for name in "abc"]
                await asyncio.sleep(0)
            await asyncio.wait(tasks)
        assert tasks[1].cancelled()
        assert await known(ledger, "a", "b", "c") == {"a", "c"}

        assert await handle(ledger, "b", paying("b")) is WRITTEN
        assert sorted(await payments(store)) == ["a", "b", "c"]

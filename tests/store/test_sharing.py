"""Handlers that wait share a transaction: what one of them does is nobody else's."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from choreo.errors import StoreError
from choreo.store.port import Attempt, End, State, Verdict
from choreo.store.streams import Advance
from choreo_sql import SqlTransaction
from choreo_sql.transaction import TransactionMisused
from tests.outbox.emitting import emission
from tests.store.companions import held, known, nothing, paying, together
from tests.store.handling import Handler, books, claim, handle, pay, payments

WRITTEN, DUPLICATE = Verdict.WRITTEN, Verdict.DUPLICATE
Handled = asyncio.Task[Verdict]


async def test_nobody_is_told_before_all_that_share_a_transaction_have_had_their_turn(
    shared_url: str,
) -> None:
    tasks: list[Handled] = []
    seen: list[object] = []

    async with books(shared_url) as (store, ledger):

        async def last(_transaction: SqlTransaction) -> None:
            seen.extend([tasks[0].done(), await payments(store)])

        async with held(ledger) as go_on:
            tasks += [
                asyncio.create_task(handle(ledger, "1", paying("first"))),
                asyncio.create_task(handle(ledger, "2", last)),
            ]
            await asyncio.sleep(0)
            go_on.set()
            assert await asyncio.gather(*tasks) == [WRITTEN, WRITTEN]

        assert seen == [False, []]
        assert await payments(store) == ["first"]


async def test_one_that_fails_takes_nothing_of_the_others_and_may_come_again(
    shared_url: str,
) -> None:
    async def failing(transaction: SqlTransaction) -> None:
        await pay(transaction, "lost")
        raise LookupError

    async with books(shared_url) as (store, ledger):
        results = await together(
            ledger, [("1", paying("one")), ("2", failing), ("3", paying("three"))]
        )

        assert results[::2] == [WRITTEN, WRITTEN]
        assert isinstance(results[1], LookupError)
        assert await payments(store) == ["one", "three"]
        assert await known(ledger, "1", "2", "3") == {"1", "3"}
        assert await handle(ledger, "2", paying("two")) is WRITTEN


async def test_one_that_swallows_an_error_spoils_no_others(shared_url: str) -> None:
    async def swallowing(transaction: SqlTransaction) -> None:
        await pay(transaction, "twice")
        with pytest.raises(IntegrityError):
            await pay(transaction, "twice")

    async with books(shared_url) as (store, ledger):
        results = await together(
            ledger, [("1", paying("one")), ("2", swallowing), ("3", paying("three"))]
        )

        assert results[::2] == [WRITTEN, WRITTEN]
        kept = results[1] is WRITTEN
        assert kept or isinstance(results[1], TransactionMisused)
        assert await payments(store) == ["one", "three", *(["twice"] if kept else [])]
        assert ("2" in await known(ledger, "2")) == kept


async def test_a_connection_that_one_loses_is_lost_for_all_and_all_may_come_again(
    shared_url: str,
) -> None:
    async def losing(transaction: SqlTransaction) -> None:
        await transaction.connection.invalidate()

    names = ["1", "2", "3"]
    handlers = [("1", paying("1")), ("2", losing), ("3", paying("3"))]

    async with books(shared_url) as (store, ledger):
        results = await together(ledger, handlers)

        assert isinstance(results[0], StoreError)
        assert isinstance(results[1], Exception)
        assert results[2] is WRITTEN  # it had not had its turn
        assert await payments(store) == ["3"]
        again = await asyncio.gather(*(handle(ledger, name, paying(name)) for name in names))
        assert again == [WRITTEN, WRITTEN, DUPLICATE]
        assert await payments(store) == names


async def test_what_the_commit_refuses_is_found_out_by_trying_each_alone(shared_url: str) -> None:
    orphan = text("INSERT INTO children VALUES ('nobody')")
    table = text(
        "CREATE TABLE children (parent TEXT REFERENCES payments (id) DEFERRABLE INITIALLY DEFERRED)"
    )

    async def spoiling(transaction: SqlTransaction) -> None:
        await transaction.connection.execute(orphan)

    handlers = [("1", paying("1")), ("2", spoiling), ("3", paying("3"))]

    async with books(shared_url) as (store, ledger):
        async with store.connections.writing() as connection:
            await connection.execute(table)
        first = await together(ledger, handlers)

        assert [type(each) for each in first] == [StoreError] * 3
        assert await payments(store) == []
        second = await together(ledger, handlers)
        assert second[::2] == [WRITTEN, WRITTEN]
        assert isinstance(second[1], Exception)
        assert not store.unavailable(second[1])


async def test_who_is_cancelled_while_the_others_run_has_ended_all_the_same(
    shared_url: str,
) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def last(_transaction: SqlTransaction) -> None:
        entered.set()
        await go_on.wait()

    async with books(shared_url) as (store, ledger):
        async with held(ledger) as begin:
            first = asyncio.create_task(handle(ledger, "1", paying("1")))
            second = asyncio.create_task(handle(ledger, "2", last))
            await asyncio.sleep(0)
            begin.set()
        await entered.wait()
        first.cancel()
        await asyncio.wait([first])
        go_on.set()

        assert await second is WRITTEN
        assert await handle(ledger, "1", paying("again")) is DUPLICATE
        assert await payments(store) == ["1"]


async def test_a_twin_waits_for_the_next_transaction_and_is_a_duplicate(shared_url: str) -> None:
    async with books(shared_url) as (store, ledger):
        results = await together(ledger, [("1", paying("one")), ("1", paying("twin"))])

        assert results == [WRITTEN, DUPLICATE]
        assert await payments(store) == ["one"]


async def test_a_twin_of_one_that_fails_is_handled(shared_url: str) -> None:
    async def failing(_transaction: SqlTransaction) -> None:
        raise LookupError

    async with books(shared_url) as (store, ledger):
        results = await together(
            ledger, [("1", failing), ("2", paying("two")), ("1", paying("twin"))]
        )

        assert results[1:] == [WRITTEN, WRITTEN]
        assert await payments(store) == ["twin", "two"]


async def test_attempts_that_are_known_survive_a_turn_that_fails(shared_url: str) -> None:
    async def failing(_transaction: SqlTransaction) -> None:
        raise LookupError

    noted = Attempt(claim=claim("1"), attempts=2, first_failed=datetime.now(UTC))

    async with books(shared_url) as (_, ledger):
        await ledger.note([noted])
        await together(ledger, [("1", failing), ("2", nothing)])

        found = (await ledger.recall([claim("1").key]))[claim("1").key]
        assert (found.state, found.attempts) == (State.OPEN, 2)
        assert await handle(ledger, "1", nothing) is WRITTEN


async def test_two_events_with_one_purpose_are_one_effect(shared_url: str) -> None:
    async with books(shared_url) as (store, ledger):

        async def one(name: str) -> Verdict:
            own = replace(claim(name), purpose="rent for May")
            async with ledger.effect(own) as effect:
                if effect.verdict is not WRITTEN:
                    return effect.verdict
                await pay(effect.transaction, name)
                return await effect.complete(End(claim=own))

        async with held(ledger):
            tasks = [asyncio.create_task(one(name)) for name in "ab"]
            await asyncio.sleep(0)

        assert await asyncio.gather(*tasks) == [WRITTEN, DUPLICATE]
        assert await payments(store) == ["a"]


async def test_what_each_emitted_is_in_the_outbox_but_for_those_that_failed(
    shared_url: str,
) -> None:
    async def failing(_transaction: SqlTransaction) -> None:
        raise LookupError

    async with books(shared_url) as (store, ledger):
        async with held(ledger):
            tasks = [
                asyncio.create_task(handle(ledger, name, handler, [emission(f"of {name}")]))
                for name, handler in [("1", nothing), ("2", failing), ("3", nothing)]
            ]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)

        async with store.connections.reading() as connection:
            rows = await connection.execute(text("SELECT identity FROM choreo_outbox ORDER BY id"))
            assert [row.identity for row in rows] == ["of 1", "of 3"]


async def test_without_sharing_each_has_a_transaction_of_its_own(url: str) -> None:
    seen: list[Sequence[str]] = []
    alone = f"{url}{'&pool=1&' if '?' in url else '?'}together=1"

    async with books(alone) as (store, ledger):

        def looking(name: str) -> Handler:
            async def handler(transaction: SqlTransaction) -> None:
                seen.append(await payments(store))
                await pay(transaction, name)

            return handler

        assert await together(ledger, [(name, looking(name)) for name in "ab"]) == [WRITTEN] * 2

    assert seen == [[], ["a"]]


async def test_one_that_fails_after_it_was_completed_leaves_nothing(shared_url: str) -> None:
    """On PostgreSQL its savepoint is gone by then: all are undone, and come again."""
    async with books(shared_url) as (store, ledger):

        async def late() -> None:
            async with ledger.effect(claim("2")) as effect:
                await pay(effect.transaction, "late")
                await effect.complete(End(claim=claim("2")))
                raise LookupError

        async with held(ledger):
            one = asyncio.create_task(handle(ledger, "1", paying("one")))
            two = asyncio.create_task(late())
            await asyncio.sleep(0)
        await asyncio.wait([one, two])

        assert isinstance(two.exception(), LookupError)
        assert one.exception() is None or isinstance(one.exception(), StoreError)
        assert await handle(ledger, "1", paying("one")) in {WRITTEN, DUPLICATE}
        assert await handle(ledger, "2", paying("two")) is WRITTEN
        assert await payments(store) == ["one", "two"]


async def test_one_whose_stream_has_moved_leaves_nothing_and_others_are_kept(
    shared_url: str,
) -> None:
    step = Advance(handler=0, source="urn:a", stream="s", epoch=0, expected=7, next=8)

    async with books(shared_url) as (store, ledger):

        async def moved() -> Verdict:
            async with ledger.effect(claim("2")) as effect:
                await pay(effect.transaction, "moved")
                return await effect.complete(End(claim=claim("2"), advance=step))

        async with held(ledger):
            one = asyncio.create_task(handle(ledger, "1", paying("one")))
            two = asyncio.create_task(moved())
            three = asyncio.create_task(handle(ledger, "3", paying("three")))
            await asyncio.sleep(0)

        results = list(await asyncio.gather(one, two, three))
        assert results == [WRITTEN, Verdict.MOVED, WRITTEN]
        assert await payments(store) == ["one", "three"]
        assert await handle(ledger, "2", paying("two")) is WRITTEN

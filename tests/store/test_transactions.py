"""The transaction is the handler's to write in, and choreo's to end (O11)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from choreo.store.outbox import Emission
from choreo.store.port import End, Verdict
from choreo_sql import SqlTransaction
from choreo_sql.transaction import TransactionMisused
from tests.outbox.emitting import emission
from tests.patience import patient
from tests.store.handling import Payment, books, claim, handle, pay, payments

WRITTEN = Verdict.WRITTEN


async def test_a_session_writes_in_the_events_transaction(url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        transaction.session().add(Payment(id="orm"))
        await pay(transaction, "core")

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", handler) is WRITTEN

        assert await payments(store) == ["core", "orm"]


async def test_what_a_session_committed_is_rolled_back_with_the_event(url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        session = transaction.session()
        session.add(Payment(id="orm"))
        await session.commit()
        raise LookupError

    async with books(url) as (store, ledger):
        with pytest.raises(LookupError):
            await handle(ledger, "1", handler)

        assert await payments(store) == []
        assert await ledger.recall([claim("1").key]) == {}


async def test_nothing_a_session_commits_is_seen_before_the_event_ends(url: str) -> None:
    seen: list[object] = []

    async with books(url) as (store, ledger):

        async def handler(transaction: SqlTransaction) -> None:
            async with transaction.session() as session:
                session.add(Payment(id="orm"))
                await session.commit()
            seen.append(await payments(store))

        assert await handle(ledger, "1", handler) is WRITTEN

        assert seen == [[]]
        assert await payments(store) == ["orm"]


async def test_a_session_that_rolls_back_undoes_its_own_and_no_more(url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await pay(transaction, "kept")
        session = transaction.session()
        session.add(Payment(id="lost"))
        await session.flush()
        await session.rollback()
        session.add(Payment(id="second"))

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", handler) is WRITTEN

        assert await payments(store) == ["kept", "second"]


async def test_a_session_recovers_from_a_constraint_by_rolling_back(url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await pay(transaction, "twice")
        session = transaction.session()
        session.add(Payment(id="twice"))
        with pytest.raises(IntegrityError):
            await session.commit()
        await session.rollback()
        session.add(Payment(id="else"))

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", handler) is WRITTEN

        assert await payments(store) == ["else", "twice"]


async def test_what_a_session_cannot_write_fails_the_event(url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await pay(transaction, "twice")
        transaction.session().add(Payment(id="twice"))

    async with books(url) as (store, ledger):
        with pytest.raises(IntegrityError) as caught:
            await handle(ledger, "1", handler)

        assert not store.unavailable(caught.value)
        assert await payments(store) == []


async def _commit(transaction: SqlTransaction) -> None:
    await transaction.connection.commit()


async def _roll_back(transaction: SqlTransaction) -> None:
    await transaction.connection.rollback()


async def _say_commit(transaction: SqlTransaction) -> None:
    await transaction.connection.execute(text("  commit"))


async def _say_rollback(transaction: SqlTransaction) -> None:
    await transaction.connection.exec_driver_sql("ROLLBACK")


async def _commit_through_a_session(transaction: SqlTransaction) -> None:
    await (await transaction.session().connection()).commit()


Misuse = Callable[[SqlTransaction], Awaitable[None]]
MISUSES = [_commit, _roll_back, _say_commit, _say_rollback, _commit_through_a_session]


@pytest.mark.parametrize("misuse", MISUSES)
async def test_a_handler_that_ends_the_transaction_is_told_and_nothing_is_written(
    url: str, misuse: Misuse
) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await pay(transaction)
        await misuse(transaction)

    async with books(url) as (store, ledger):
        with pytest.raises(TransactionMisused, match="committed by choreo") as caught:
            await handle(ledger, "1", handler)

        assert not store.unavailable(caught.value)
        assert await payments(store) == []
        assert await handle(ledger, "1", pay) is WRITTEN


@pytest.mark.parametrize("misuse", MISUSES)
async def test_a_handler_that_does_so_and_goes_on_writes_nothing_or_all(
    url: str, misuse: Misuse
) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await pay(transaction, "before")
        with pytest.raises(TransactionMisused):
            await misuse(transaction)
        try:
            await pay(transaction, "after")
        except (SQLAlchemyError, TransactionMisused):
            return

    async with books(url) as (store, ledger):
        try:
            verdict = await handle(ledger, "1", handler)
        except TransactionMisused:
            verdict = None

        known = await ledger.recall([claim("1").key])
        expected = ["after", "before"] if verdict is WRITTEN else []
        assert (await payments(store), bool(known)) == (expected, verdict is WRITTEN)
        assert await handle(ledger, "2", pay) is WRITTEN


@pytest.mark.parametrize("emitted", [(), (emission("receipt"),)])
async def test_an_error_that_is_swallowed_never_passes_for_success(
    url: str, emitted: Sequence[Emission]
) -> None:
    """PostgreSQL would take the commit for a rollback, without a word."""

    async def handler(transaction: SqlTransaction) -> None:
        await pay(transaction, "twice")
        with pytest.raises(IntegrityError):
            await pay(transaction, "twice")

    async with books(url) as (store, ledger):
        try:
            verdict = await handle(ledger, "1", handler, emitted)
        except TransactionMisused:
            verdict = None

        known = await ledger.recall([claim("1").key])
        assert bool(known) == (verdict is WRITTEN) == (await payments(store) == ["twice"])


async def test_a_savepoint_keeps_an_error_from_the_rest(url: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await pay(transaction, "twice")
        savepoint = await transaction.connection.begin_nested()
        await pay(transaction, "inner")
        with pytest.raises(IntegrityError):
            await pay(transaction, "twice")
        await savepoint.rollback()
        await pay(transaction, "after")

    async with books(url) as (store, ledger):
        assert await handle(ledger, "1", handler) is WRITTEN

        assert await payments(store) == ["after", "twice"]


async def test_one_handlers_writes_never_land_in_anothers_transaction(url: str) -> None:
    async with books(url) as (store, ledger):

        async def one(number: int) -> None:
            async def handler(transaction: SqlTransaction) -> None:
                await pay(transaction, f"{number:02}")
                await asyncio.sleep(0)
                if number % 3 == 0:
                    raise LookupError

            try:
                await handle(ledger, str(number), handler)
            except LookupError:
                assert number % 3 == 0

        await asyncio.gather(*(one(number) for number in range(30)))

        assert await payments(store) == [f"{n:02}" for n in range(30) if n % 3]


async def test_ends_are_written_while_handlers_hold_all_their_connections(
    postgres_url: str,
) -> None:
    async with books(f"{postgres_url}&pool=2") as (_, ledger):
        entered = asyncio.Semaphore(0)
        go_on = asyncio.Event()

        async def handler(_transaction: SqlTransaction) -> None:
            entered.release()
            await go_on.wait()

        async with asyncio.timeout(patient(10)), asyncio.TaskGroup() as tasks:
            for number in range(5):
                tasks.create_task(handle(ledger, f"held {number}", handler))
            await entered.acquire()
            await entered.acquire()

            assert await ledger.finish([End(claim=claim("other"))]) == [WRITTEN]
            go_on.set()

        known = await ledger.recall([claim(f"held {number}").key for number in range(5)])
        assert len(known) == 5

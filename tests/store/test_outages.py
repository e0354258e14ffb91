"""Whatever the database does, it is told as StoreError, and the store recovers unaided."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from choreo.errors import StoreError
from choreo.store.outbox import Settled
from choreo.store.port import End, Verdict
from choreo_sql import SqlStore, SqlTransaction
from choreo_sql.ledger import SqlLedger
from tests.local import Postgres
from tests.outbox.emitting import Place, emission
from tests.patience import patient
from tests.store.handling import books, claim, handle, pay, payments
from tests.store.setups import sqlite_url
from tests.store.severing import severed

WRITTEN, DUPLICATE = Verdict.WRITTEN, Verdict.DUPLICATE
ISOLATION = select(func.current_setting("transaction_isolation"))
T = TypeVar("T")
StartPostgres = Callable[[dict[str, str]], Postgres]


async def finish(ledger: SqlLedger, *identities: str) -> list[Verdict]:
    """Write ends."""
    return list(await ledger.finish([End(claim=claim(each)) for each in identities]))


async def test_nobody_at_the_address_is_a_store_error() -> None:
    store = SqlStore("postgresql://user:hunter2@127.0.0.1:1/none")

    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/none") as caught:
        async with store:
            pass

    assert "hunter2" not in str(caught.value)
    assert store.unavailable(caught.value)


async def test_a_file_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="make sure that the folder exists"):
        async with SqlStore(f"sqlite:///{tmp_path / 'absent' / 'books.db'}"):
            pass


async def test_a_lock_of_another_process_is_waited_for(tmp_path: Path) -> None:
    async with books(sqlite_url(tmp_path)) as (_, ledger):
        other = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        ending = asyncio.create_task(finish(ledger, "a"))
        done, _ = await asyncio.wait([ending], timeout=0.2)
        other.execute("COMMIT")
        other.close()

        assert not done
        assert await ending == [WRITTEN]


async def test_a_lock_that_is_held_for_long_is_a_store_error(tmp_path: Path) -> None:
    """Trap O9."""
    async with books(f"{sqlite_url(tmp_path)}?timeout=0.2") as (store, ledger):
        other = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="another process is writing") as caught:
            await finish(ledger, "a", "b")
        with pytest.raises(StoreError, match="locked"):
            await handle(ledger, "c", pay)
        assert store.unavailable(caught.value)
        other.execute("COMMIT")
        other.close()

        assert await finish(ledger, "a", "b") == [WRITTEN] * 2
        assert await handle(ledger, "c", pay) is WRITTEN


async def test_a_full_disk_is_a_store_error_until_there_is_space(tmp_path: Path) -> None:
    async with books(sqlite_url(tmp_path)) as (store, ledger):
        async with store.connections.writing() as connection:
            pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
            await connection.execute(text(f"PRAGMA max_page_count={pages + 2}"))
        names = [f"{number:0100}" for number in range(500)]

        with pytest.raises(StoreError, match="free some space"):
            await finish(ledger, *names)

        async def fill(transaction: SqlTransaction) -> None:
            await pay(transaction, "x" * 100_000)

        with pytest.raises(DBAPIError) as caught:
            await handle(ledger, "handler", fill)
        assert store.unavailable(caught.value)
        async with store.connections.writing() as connection:
            await connection.execute(text("PRAGMA max_page_count=1000000"))

        assert await finish(ledger, *names) == [WRITTEN] * 500
        assert await handle(ledger, "handler", fill) is WRITTEN


async def test_one_end_that_cannot_be_written_does_not_hold_back_the_others(
    postgres_url: str,
) -> None:
    async with books(postgres_url) as (_, ledger):
        ends = [End(claim=claim(f"{number:02}")) for number in range(20)]
        poison = End(claim=claim("poison"))
        object.__setattr__(poison.claim, "generation", 2**70)  # nothing a column could hold

        results = await asyncio.gather(
            *(ledger.finish([end]) for end in [*ends[:10], poison, *ends[10:]]),
            return_exceptions=True,
        )

        assert isinstance(results.pop(10), StoreError)
        assert results == [[WRITTEN]] * 20


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_server_that_is_killed_and_started_again_is_found_again(
    postgres_server: StartPostgres,
) -> None:
    server = postgres_server({})
    async with books(f"{server.dsn}?create=true") as (store, ledger):
        assert await finish(ledger, "before") == [WRITTEN]
        held = asyncio.Event()
        killed = asyncio.Event()

        async def handler(transaction: SqlTransaction) -> None:
            await pay(transaction)
            held.set()
            await killed.wait()
            await pay(transaction, "more")

        holding = asyncio.create_task(handle(ledger, "held", handler))
        await held.wait()
        await asyncio.to_thread(server.kill)
        killed.set()

        with pytest.raises(DBAPIError) as caught:
            await holding
        assert store.unavailable(caught.value)
        for _ in range(3):
            with pytest.raises(StoreError):
                await finish(ledger, "after")
        await asyncio.to_thread(server.start)

        assert await finish(ledger, "before", "after") == [DUPLICATE, WRITTEN]
        assert await handle(ledger, "held", pay) is WRITTEN
        assert await payments(store) == ["paid"]


async def test_a_session_that_the_server_ends_is_replaced(postgres_url: str) -> None:
    async with books(postgres_url) as (store, ledger):
        await finish(ledger, "a")
        await handle(ledger, "b", pay)
        async with store.connections.writing() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )

        assert await again(lambda: finish(ledger, "a", "c")) == [DUPLICATE, WRITTEN]
        assert await again(lambda: handle(ledger, "d", pay_d)) is WRITTEN
        assert sorted(await payments(store)) == ["d", "paid"]


async def test_a_session_of_the_relay_that_the_server_ends_is_replaced(postgres_url: str) -> None:
    async with books(postgres_url) as (store, ledger):
        place = Place(ledger)
        await place.emit(emission("a"))
        rows = await place.read()
        async with store.connections.writing() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )

        await again(lambda: ledger.outbox.settle("one", Settled(accepted=rows)))
        assert await again(place.read) == []


async def test_what_the_relay_says_is_read_committed_whatever_the_servers_default_o13(
    postgres_url: str,
) -> None:
    everywhere = text(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation ="
        " serializable', current_database()); END $$"
    )
    async with books(postgres_url) as (store, _), store.connections.writing() as connection:
        await connection.execute(everywhere)

    async with SqlStore(postgres_url) as store, store.connections.asking() as link:
        assert [tuple(row) for row in await link.say(ISOLATION, {})] == [("read committed",)]


async def pay_d(transaction: SqlTransaction) -> None:
    await pay(transaction, "d")


async def again(work: Callable[[], Awaitable[T]]) -> T:
    """Do as who uses a store does: a session may end in the middle of what is said on it."""
    async with asyncio.timeout(patient(5)):
        while True:
            with suppress(StoreError):
                return await work()


async def test_a_handler_whose_session_the_server_ends_is_not_to_blame(postgres_url: str) -> None:
    """Its statement finds the session closed, closing, or about to be: all are the store's."""
    async with books(postgres_url) as (store, ledger):

        async def ended(transaction: SqlTransaction, turns: int) -> None:
            pid = await transaction.connection.scalar(text("SELECT pg_backend_pid()"))
            async with store.connections.writing() as other:
                await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            for _ in range(turns):
                await asyncio.sleep(0)
            await pay(transaction)

        for turns in range(4):
            with pytest.raises((StoreError, DBAPIError)) as caught:
                await handle(ledger, f"{turns}", partial(ended, turns=turns))
            assert store.unavailable(caught.value)

        assert await payments(store) == []


async def test_a_handler_that_is_stopped_for_long_loses_its_transaction(
    postgres_url: str,
) -> None:
    """Trap I5: what a process that was suspended holds is given to others."""
    async with books(f"{postgres_url}&idle=0.2") as (store, ledger):

        async def twin(transaction: SqlTransaction) -> None:
            await pay(transaction, "twin")

        async def handler(transaction: SqlTransaction) -> None:
            await pay(transaction, "stopped")
            assert await handle(ledger, "a", twin) is WRITTEN  # waits until the server gives up

        with pytest.raises((StoreError, DBAPIError)):
            await handle(ledger, "a", handler)

        assert await payments(store) == ["twin"]


@pytest.mark.parametrize(("when", "written"), [("before", WRITTEN), ("after", DUPLICATE)])
async def test_a_commit_without_an_answer_is_found_out_by_trying_again(
    postgres_url: str, when: Literal["before", "after"], written: Verdict
) -> None:
    """Trap O12."""
    async with severed(postgres_url) as (cutter, url), books(url) as (store, ledger):
        cutter.armed = when
        with pytest.raises(StoreError):
            await handle(ledger, "effect", pay)
        cutter.armed = when
        with pytest.raises(StoreError):
            await finish(ledger, "a", "b")

        assert cutter.cuts == 2
        assert await handle(ledger, "effect", pay) is written
        assert await finish(ledger, "a", "b") == [written] * 2
        assert await payments(store) == ["paid"]


@pytest.mark.timeout(30)
async def test_a_server_that_does_not_answer_is_not_waited_for_longer_than_the_timeout(
    postgres_url: str,
) -> None:
    async with (
        books(f"{postgres_url}&timeout=2") as (store, ledger),
        books(postgres_url) as (
            other,
            _,
        ),
    ):
        async with other.connections.writing() as connection:
            await connection.execute(text("LOCK TABLE choreo_inbox"))
            for work in (finish(ledger, "a"), handle(ledger, "b", pay)):
                with pytest.raises(StoreError) as caught:
                    async with asyncio.timeout(patient(8)):
                        await work
                assert store.unavailable(caught.value)

        assert await finish(ledger, "a") == [WRITTEN]
        assert await handle(ledger, "b", pay) is WRITTEN

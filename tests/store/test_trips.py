"""How often PostgreSQL is asked for an event's transaction, and what holds where it is less."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import pytest

from choreo.errors import StoreError
from choreo.store.port import Verdict
from choreo_sql import SqlStore, SqlTransaction
from choreo_sql.links import TEXT, PostgresLink
from tests.outbox.emitting import Place, emission
from tests.store.handling import books, handle, payments, tell

WRITTEN, DUPLICATE = Verdict.WRITTEN, Verdict.DUPLICATE


@asynccontextmanager
async def asked(store: SqlStore) -> AsyncGenerator[list[str]]:
    """Note what is said meanwhile on the one connection that handlers have."""
    said: list[str] = []

    def note(query: asyncpg.connection.LoggedQuery) -> None:
        said.append(query.query)

    async with store.connections.handling() as link:
        assert isinstance(link, PostgresLink)
        driver: Any = link.driver
    driver.add_query_logger(note)
    try:
        yield said
        await asyncio.sleep(0)  # loggers are called in the next turn of the loop
    finally:
        driver.remove_query_logger(note)


async def _paid(transaction: SqlTransaction) -> None:
    await tell(transaction, "paid")


async def _nothing(_: SqlTransaction) -> None:
    """Write nothing."""


async def test_a_transaction_begins_and_claims_in_one_trip_of_four(postgres_url: str) -> None:
    async with books(f"{postgres_url}&pool=1") as (store, ledger):
        await handle(ledger, "first", _nothing)  # for which the statement is prepared
        async with asked(store) as said:
            done = await handle(ledger, "it's \\ new", _paid, [emission("told")])

        assert done is WRITTEN
        assert [text.split("(")[0].split(" __")[0].strip() for text in said] == [
            "BEGIN ISOLATION LEVEL READ COMMITTED;EXECUTE",
            "INSERT INTO payments VALUES",
            "INSERT INTO choreo_outbox",
            "COMMIT;",
        ]


async def test_handlers_that_share_a_transaction_claim_in_one_trip(postgres_url: str) -> None:
    async with books(f"{postgres_url}&together=64&pool=1") as (store, ledger):
        await asyncio.gather(*(handle(ledger, f"first {n}", _nothing) for n in range(3)))
        async with asked(store) as said:
            verdicts = await asyncio.gather(*(handle(ledger, str(n), _nothing) for n in range(3)))

        assert verdicts == [WRITTEN] * 3
        begun = [text for text in said if text.startswith("BEGIN")]
        assert len(begun) == 1
        assert ";EXECUTE " in begun[0]


async def test_handlers_that_share_a_transaction_emit_and_commit_in_one_trip(
    postgres_url: str,
) -> None:
    emitted = [emission(f"it's \\ {n}", lane=f'"orders"/{n}\n') for n in range(3)]
    async with books(f"{postgres_url}&together=64&pool=1") as (store, ledger):
        await asyncio.gather(*(handle(ledger, f"first {n}", _nothing) for n in range(3)))
        async with asked(store) as said:
            verdicts = await asyncio.gather(
                *(handle(ledger, str(n), _nothing, [emitted[n]]) for n in range(3))
            )

        assert verdicts == [WRITTEN] * 3
        (last,) = [text for text in said if text.endswith("COMMIT;")]
        assert last.startswith("EXECUTE ")
        assert not [text for text in said if "INSERT INTO choreo_outbox" in text]
        read = await Place(ledger).read()
        assert [(row.identity, row.message) for row in read] == [
            (one.identity, one.message) for one in emitted
        ]


async def test_large_emissions_are_no_part_of_a_text(postgres_url: str) -> None:
    async with books(f"{postgres_url}&together=64&pool=1") as (store, ledger):
        large = [emission(str(n)) for n in range(2)]
        for one in large:
            one.message.body = b"\0" * TEXT
        async with asked(store) as said:
            await asyncio.gather(*(handle(ledger, str(n), _nothing, [large[n]]) for n in range(2)))

        assert max(map(len, said)) < TEXT
        assert [row.message for row in await Place(ledger).read()] == [one.message for one in large]


async def test_what_cannot_be_emitted_commits_nothing(postgres_url: str) -> None:
    """O1: a NUL is what PostgreSQL has in no text; no handler's row is there without its event."""
    async with books(f"{postgres_url}&together=64&pool=1") as (store, ledger):
        spoilt = emission("spoilt")
        spoilt.message.topic = "a\0b"
        done = await asyncio.gather(
            *(handle(ledger, one, partial(tell, identity=one), [spoilt]) for one in "ab"),
            return_exceptions=True,
        )

        assert [type(one) for one in done] == [StoreError] * 2
        assert await payments(store) == []
        assert await handle(ledger, "2", _paid) is WRITTEN


async def test_one_that_was_handled_is_told_from_those_that_begin_with_it(
    postgres_url: str,
) -> None:
    async with books(f"{postgres_url}&together=64&pool=1") as (store, ledger):
        await handle(ledger, "1", _nothing)

        verdicts = await asyncio.gather(*(handle(ledger, str(n), _nothing) for n in range(3)))
        again = await asyncio.gather(*(handle(ledger, str(n), _paid) for n in range(3)))

        assert verdicts == [WRITTEN, DUPLICATE, WRITTEN]
        assert again == [DUPLICATE] * 3
        assert await payments(store) == []


async def test_what_the_server_was_made_to_forget_is_prepared_again(postgres_url: str) -> None:
    async def forgetting(transaction: SqlTransaction) -> None:
        await transaction.execute("DEALLOCATE ALL")

    async with books(f"{postgres_url}&pool=1") as (store, ledger):
        await handle(ledger, "1", forgetting)

        with pytest.raises(StoreError):
            await handle(ledger, "2", _paid)
        assert await handle(ledger, "2", _paid) is WRITTEN
        assert await payments(store) == ["paid"]

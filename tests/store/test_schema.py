"""Tables are made once, whoever makes them, and only tables that fit are worked with."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from choreo.errors import SchemaError
from choreo.message import Delivery
from choreo.store.lot import Parking
from choreo.store.streams import Advance
from choreo_sql import SqlStore, schema
from choreo_sql.connections import connections
from choreo_sql.settings import SqlSettings
from tests.store.setups import sqlite_url

CREATE = """
import asyncio, sys
from choreo_sql import SqlStore
async def main():
    async with SqlStore(sys.argv[1]) as store:
        ledger = await store.ledger("shop", ["one", "two"])
        print(ledger.scopes.service, *ledger.scopes.handlers)
asyncio.run(main())
"""


async def set_version_behind(url: str, version: int) -> None:
    """Change the version without what a store checks when it is entered."""
    pools = connections(*SqlSettings.parse(url))
    async with pools.writing() as connection:
        change = text("UPDATE choreo_schema SET version = :version")
        await connection.execute(change, {"version": version})
    await pools.close()


async def set_version(url: str, version: int) -> None:
    """Let the tables bear another version."""
    async with SqlStore(url):
        pass  # which makes them
    await set_version_behind(url, version)


async def test_sqlite_makes_its_tables_by_itself(tmp_path: Path) -> None:
    async with SqlStore(sqlite_url(tmp_path)) as store:
        standing = await schema.look(store.connections)

    assert standing.current


async def test_a_store_that_is_not_to_make_tables_says_what_to_do(
    tmp_path: Path, postgres_url: str
) -> None:
    for url in (f"{sqlite_url(tmp_path)}?create=false", postgres_url.partition("?")[0]):
        with pytest.raises(SchemaError, match="has no tables yet: choreo store init --store"):
            async with SqlStore(url):
                pass


async def test_older_and_newer_tables_are_refused(url: str) -> None:
    await set_version(url, 0)
    with pytest.raises(SchemaError, match="choreo store upgrade"):
        async with SqlStore(url):
            pass

    await set_version_behind(url, 1000)
    with pytest.raises(SchemaError, match="upgrade choreo"):
        async with SqlStore(url):
            pass


async def test_a_table_that_is_gone_is_noticed(url: str) -> None:
    async with SqlStore(url) as store, store.connections.writing() as connection:
        await connection.execute(text("DROP TABLE choreo_inbox"))

    with pytest.raises(SchemaError, match="lacks choreo_inbox"):
        async with SqlStore(url):
            pass


async def test_making_tables_twice_keeps_what_is_in_them(url: str) -> None:
    async with SqlStore(url) as store:
        await store.ledger("shop", ["one"])
        await schema.create(store.connections)
        await schema.upgrade(store.connections)

        async with store.connections.reading() as connection:
            count = await connection.scalar(text("SELECT count(*) FROM choreo_handler"))
    assert count == 1


async def test_migrations_run_once_in_order(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    await set_version(url, 0)

    async def first(_connection: object) -> None:
        ran.append(1)

    monkeypatch.setattr(schema, "MIGRATIONS", [(schema.VERSION, first)])
    pools = connections(*SqlSettings.parse(url))
    await schema.upgrade(pools)
    await schema.upgrade(pools)
    await pools.close()

    assert ran == [1]


async def test_tables_of_the_first_version_are_brought_to_this_one(url: str) -> None:
    async with SqlStore(url) as store, store.connections.writing() as connection:
        for column in ("source", "stream"):
            await connection.execute(text(f"ALTER TABLE choreo_line DROP COLUMN {column}"))
    await set_version_behind(url, 1)

    pools = connections(*SqlSettings.parse(url))
    standing = await schema.upgrade(pools)
    await pools.close()

    assert standing.current
    async with SqlStore(url) as store:
        ledger = await store.ledger("shop", ["one"])
        head = Parking(
            line=b"line" * 4,
            handler=0,
            source="urn:source",
            id="1",
            generation=0,
            delivery=Delivery("topic", b"body"),
            number=(0, 5),
            stream="a",
        )
        await ledger.order.lot.park(head, (), None)
        step = Advance(handler=0, source="urn:source", stream="a", epoch=0, expected=0, next=5)
        await ledger.order.streams.move([step])
        assert await ledger.order.lot.sweep(10) == 1


@pytest.mark.timeout(60)
async def test_processes_that_start_at_once_make_one_set_of_tables(url: str) -> None:
    async def start() -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", CREATE, url],
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    outputs = await asyncio.gather(*(start() for _ in range(4)))

    assert len(set(outputs)) == 1
    assert sorted(outputs[0].split()[1:]) == outputs[0].split()[1:]

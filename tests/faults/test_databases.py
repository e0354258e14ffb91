"""A service whose database takes nothing for a while, or hardly anything: F10, F14 to F16."""

import asyncio
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text

from choreo import Context, Event, Service
from choreo.errors import StoreError
from choreo.runner import started
from choreo.testing.faults import BlackHole, Custom, Cut, DiskFull, Fault, Proxy, Slow, struck
from choreo_sql import SqlStore, SqlTransaction
from tests.conftest import OwnDisk
from tests.crash.conftest import database
from tests.local import PostgresPart
from tests.patience import patient

MANY = 40
LASTS = 1.5
TABLE = text("CREATE TABLE IF NOT EXISTS seen (number INTEGER)")
INSERT = text("INSERT INTO seen VALUES (:number)")
SEEN = text("SELECT number FROM seen")


class Said(Event, topic="said", key="number", domain="faults"):
    number: int


def service_on(url: str, name: str) -> Service[SqlTransaction]:
    service = Service[SqlTransaction](name, broker=f"memory://{name}", store=url)

    @service.on(Said)
    async def note(said: Said, ctx: Context[SqlTransaction]) -> None:
        await ctx.transaction.connection.execute(INSERT, {"number": said.number})

    return service


async def survived(url: str, name: str, fault: Fault) -> tuple[Counter[int], str]:
    """Say numbers before, in and after a fault; give what was written, and the fault's proof."""
    async with SqlStore(url) as eye, started(service_on(url, name)) as running:
        async with eye.connections.writing() as connection:
            await connection.execute(TABLE)
        await running.publish([Said(number=number) for number in range(MANY)])
        await _seen(eye, MANY // 2)
        striking = asyncio.create_task(struck(fault, LASTS))
        await asyncio.sleep(LASTS / 3)
        await running.publish([Said(number=number) for number in range(MANY, 2 * MANY)])
        proof = await striking
        await running.publish([Said(number=number) for number in range(2 * MANY, 3 * MANY)])
        found = await _seen(eye, 3 * MANY)
        assert running.worker is not None
        await running.worker.idle()
        return found, proof


async def _seen(eye: SqlStore, at_least: int) -> Counter[int]:
    """Read what was written, once there is enough of it."""
    async with asyncio.timeout(patient(60)):
        while True:
            try:
                async with eye.connections.reading() as connection:
                    found = Counter((await connection.execute(SEEN)).scalars().all())
            except StoreError:
                found = Counter[int]()
            if len(found) >= at_least:
                return found
            await asyncio.sleep(0.05)


@pytest.fixture(name="disk")
def _disk(own_disk: OwnDisk) -> Generator[Path]:
    """Return a disk of four megabytes."""
    with own_disk(4) as folder:
        yield folder


@pytest.mark.timeout(180)
async def test_a_full_disk_holds_sqlite_up_and_no_effect_is_lost_or_doubled_f15(
    disk: Path, fresh_name: Callable[[str], str]
) -> None:
    url = f"sqlite:///{disk}/books.db"

    seen, proof = await survived(url, fresh_name("full"), DiskFull(disk))

    assert "one more was refused" in proof
    assert seen == Counter(range(3 * MANY))


@pytest.mark.timeout(180)
async def test_a_lock_on_what_handlers_write_holds_them_up_and_no_effect_is_lost_or_doubled_f14(
    postgres: PostgresPart, fresh_name: Callable[[str], str]
) -> None:
    name = fresh_name("locked").replace("-", "_")
    async with database(postgres, name) as url:
        holder = await asyncpg.connect(url.partition("?")[0])
        transaction = holder.transaction()

        async def lock() -> None:
            await transaction.start()
            await holder.execute("LOCK TABLE seen IN ACCESS EXCLUSIVE MODE")

        async def unlock() -> str:
            waiting = await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
            await transaction.rollback()
            return f"{waiting} waited for it" if waiting else ""

        fault = Custom(name="a table is locked", beginning=lock, ending=unlock)
        try:
            seen, proof = await survived(url, fresh_name("locked"), fault)
        finally:
            await holder.close()

    assert "waited for it" in proof
    assert seen == Counter(range(3 * MANY))


LINES: dict[str, Callable[[Proxy], Fault]] = {
    "slow": lambda proxy: Slow(proxy, delay=0.1),
    "throttled": lambda proxy: Slow(proxy, rate=20_000.0),
    "silent": lambda proxy: BlackHole(proxy, "down"),
    "cut": Cut,
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("line", LINES)
async def test_a_database_that_answers_late_or_not_loses_and_doubles_no_effect_f10_f16(
    line: str, postgres: PostgresPart, fresh_name: Callable[[str], str]
) -> None:
    """What a slow disk is to a service: a commit that takes its time."""
    name = fresh_name("slow").replace("-", "_")
    async with database(postgres, name) as url:
        port = urlsplit(url).port or 0
        async with Proxy.running("127.0.0.1", port) as proxy:
            by_way = url.replace(f":{port}/", f":{proxy.port}/")
            seen, proof = await survived(by_way, fresh_name("slow"), LINES[line](proxy))

    assert proof
    assert seen == Counter(range(3 * MANY))


@pytest.mark.timeout(60)
async def test_of_two_handlers_that_wait_for_each_other_one_is_tried_again_and_both_take_effect(
    postgres: PostgresPart, fresh_name: Callable[[str], str]
) -> None:
    """PostgreSQL ends one of two transactions that lock the same rows in opposite order."""
    both, calls = asyncio.Barrier(2), list[int]()
    add = text("UPDATE accounts SET total = total + 1 WHERE number = :number")
    name = fresh_name("deadlock").replace("-", "_")
    async with database(postgres, name) as url, SqlStore(url) as eye:
        async with eye.connections.writing() as connection:
            await connection.execute(text("CREATE TABLE accounts (number INTEGER, total INTEGER)"))
            await connection.execute(text("INSERT INTO accounts VALUES (0, 0), (1, 0)"))
        service = Service[SqlTransaction](name, broker=f"memory://{name}", store=url)

        @service.on(Said)
        async def move(said: Said, ctx: Context[SqlTransaction]) -> None:
            calls.append(said.number)
            await ctx.transaction.connection.execute(add, {"number": said.number})
            if len(calls) <= both.parties:
                await both.wait()
            await ctx.transaction.connection.execute(add, {"number": 1 - said.number})

        async with started(service) as running:
            await running.publish([Said(number=number) for number in range(2)])
            assert running.worker is not None
            async with asyncio.timeout(patient(30)):
                while len(calls) <= both.parties:
                    await asyncio.sleep(0.05)
                await running.worker.idle()
        async with eye.connections.reading() as connection:
            rows = await connection.execute(text("SELECT total FROM accounts"))
            totals = rows.scalars().all()

    assert len(calls) == 3
    assert totals == [2, 2]

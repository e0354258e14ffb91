"""Inbox, effect and outbox in one transaction an event, beside the same statements by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from sqlite3 import connect
from tempfile import TemporaryDirectory
from uuid import uuid4

import asyncpg

from bench import bare_sql
from bench.bare_sql import COUNT, EFFECTS, FORGET, LANES
from bench.events import Order, Receipt, Tally, orders
from bench.measure import Result, Stopwatch, Taken, side_by_side
from bench.memory import written
from choreo import Context, Message, Service
from choreo.runner import started
from choreo_memory import MemoryBroker
from choreo_sql import SqlStore, SqlTransaction

ADD = "INSERT INTO effects (customer, number) VALUES (:customer, :number)"

Rows = Callable[[], Awaitable[int]]
"""Counts the rows that handlers have written."""
SHARED_SQLITE = "?together=64"
SHARED_POSTGRESQL = "?together=64&pool=2"


async def inbox_outbox_sqlite(runs: int) -> Result:
    """Measure ``inbox_outbox_sqlite``: 64 lanes on SQLite, FULL ÷ the same statements by hand."""
    return await _sqlite("inbox_outbox_sqlite", runs, "?together=1")


async def inbox_outbox_sqlite_grouped(runs: int) -> Result:
    """Measure ``inbox_outbox_sqlite_grouped``: events share transactions, their rows put off."""
    return await _sqlite("inbox_outbox_sqlite_grouped", runs, SHARED_SQLITE, later=True)


async def inbox_outbox_sqlite_grouped_awaited(runs: int) -> Result:
    """Measure ``inbox_outbox_sqlite_grouped_awaited``: the same, each handler awaits its row."""
    return await _sqlite("inbox_outbox_sqlite_grouped_awaited", runs, SHARED_SQLITE)


async def inbox_outbox_postgresql(runs: int, url: str) -> Result:
    """Measure ``inbox_outbox_postgresql``: 64 lanes ÷ 64 by hand, as many connections for both."""
    return await _postgresql("inbox_outbox_postgresql", runs, url, "")


async def inbox_outbox_postgresql_grouped(runs: int, url: str) -> Result:
    """Measure ``inbox_outbox_postgresql_grouped``: shared, over two connections, rows put off."""
    name = "inbox_outbox_postgresql_grouped"
    return await _postgresql(name, runs, url, SHARED_POSTGRESQL, later=True)


async def inbox_outbox_postgresql_grouped_awaited(runs: int, url: str) -> Result:
    """Measure ``inbox_outbox_postgresql_grouped_awaited``: each handler awaits its row."""
    name = "inbox_outbox_postgresql_grouped_awaited"
    return await _postgresql(name, runs, url, SHARED_POSTGRESQL)


async def _sqlite(name: str, runs: int, options: str, *, later: bool = False) -> Result:
    with TemporaryDirectory() as folder:

        async def ours() -> Taken:
            file = await _file(folder)
            rows = partial(_rows_in, file)
            return await _handled(f"sqlite:///{file}{options}", rows, later=later)

        async def bare() -> Taken:
            file = await _file(folder)
            took = await bare_sql.sqlite(file)
            assert await _rows_in(file) == COUNT
            return took

        return await side_by_side(name, ours, bare, runs=min(runs, 3))


async def _postgresql(
    name: str, runs: int, url: str, options: str, *, later: bool = False
) -> Result:
    async with SqlStore(f"{url}?create=true"):
        pass  # the tables are there

    async def ours() -> Taken:
        await _emptied(url)
        return await _handled(f"{url}{options}", partial(_rows_at, url), later=later)

    async def bare() -> Taken:
        await _emptied(url)
        took = await bare_sql.postgresql(url)
        assert await _rows_at(url) == COUNT
        return took

    return await side_by_side(name, ours, bare, runs=min(runs, 3))


async def _handled(store: str, rows: Rows, *, later: bool) -> Taken:
    """Handle the orders, each with a row of its own and a receipt, and count what was committed."""
    url = f"memory://{uuid4().hex}?retention=1000000"
    service = Service("bench", broker=url, store=SqlStore(store), concurrency=LANES)
    messages: list[Message] = list(await written(orders(COUNT, LANES)))
    tally, watch, done = Tally(COUNT), Stopwatch(), asyncio.Event()

    @service.on(Order)
    async def handle(order: Order, ctx: Context[SqlTransaction]) -> Receipt:
        watch.begin()
        values = {"customer": order.customer, "number": order.number}
        if later:
            ctx.transaction.later(ADD, values)
        else:
            await ctx.transaction.execute(ADD, values)
        if tally.note(order):
            done.set()
        return Receipt(customer=order.customer, number=order.number)

    async with MemoryBroker(url) as broker:
        await broker.publish(messages)
        async with started(service) as running:
            await done.wait()
            assert running.worker is not None
            await running.worker.idle()
            took = watch.took(COUNT)
            assert await rows() == COUNT
            return took


async def _file(folder: str) -> Path:
    """Make a database with choreo's tables, and one for effects."""
    file = Path(folder) / f"{uuid4().hex}.db"
    async with SqlStore(f"sqlite:///{file}"):
        pass
    with closing(connect(file)) as connection, connection:
        connection.execute(EFFECTS)
    return file


async def _rows_in(file: Path) -> int:
    with closing(connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM effects").fetchone()[0])


async def _emptied(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(EFFECTS)
        await connection.execute(FORGET)
    finally:
        await connection.close()


async def _rows_at(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM effects"))
    finally:
        await connection.close()

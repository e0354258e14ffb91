"""The peer beneath the stores: one transaction an event, its statements on the driver itself."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import time_ns
from uuid import UUID, uuid4, uuid5

import aiosqlite
import asyncpg

from bench.events import Order, Tally, orders
from bench.measure import Stopwatch, Taken
from choreo_sql.settings import SqlSettings

COUNT = 2_560
LANES = 64
SOURCE = "urn:choreo:bare"
EFFECTS = (
    "CREATE TABLE IF NOT EXISTS effects"
    " (customer TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (customer, number))"
)
FORGET = "TRUNCATE effects, choreo_inbox, choreo_outbox"
INBOX = (
    "INSERT INTO choreo_inbox (scope, id, source, state, generation, fingerprint, ended, fence)"
    " VALUES ($1, $2, $3, 2, 0, $4, $5, 1) ON CONFLICT DO NOTHING RETURNING scope, id, source"
)
EFFECT = "INSERT INTO effects (customer, number) VALUES ($1, $2)"
OUTBOX = (
    "INSERT INTO choreo_outbox"
    " (service, shard, lane, identity, topic, key, headers, body, retain, created)"
    " VALUES (1, 0, $1, $2, 'bench-receipts', $3, $4, $5, false, $6) ON CONFLICT DO NOTHING"
)
HEADERS = (
    '{"specversion":"1.0","source":"urn:choreo:bench","type":"Receipt.v1","time":"2026-01-01"}'
)

Statement = tuple[str, tuple[object, ...]]


async def sqlite(file: Path) -> Taken:
    """Handle the orders one after the other, as SQLite has one writer, with synchronous=FULL."""
    tally, watch = Tally(COUNT), Stopwatch()
    async with aiosqlite.connect(file, isolation_level=None) as connection:
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=FULL")
        watch.begin()
        for order in orders(COUNT, LANES):
            inbox, *rest = _statements(order)
            await connection.execute("BEGIN IMMEDIATE")
            claimed = await connection.execute_fetchall(*inbox)
            assert list(claimed)
            for statement in rest:
                await connection.execute(*statement)
            await connection.execute("COMMIT")
            tally.note(order)
        return watch.took(COUNT)


async def postgresql(url: str) -> Taken:
    """Handle the orders in so many lanes, each in order, over as many connections as choreo's."""
    tally, watch = Tally(COUNT), Stopwatch()
    size = SqlSettings().pool
    everything = orders(COUNT, LANES)

    async with asyncpg.create_pool(url, min_size=size, max_size=size) as pool:

        async def lane(own: Sequence[Order]) -> None:
            for order in own:
                inbox, *rest = _statements(order)
                async with pool.acquire() as connection, connection.transaction():
                    assert await connection.fetch(inbox[0], *inbox[1])
                    for sql, values in rest:
                        await connection.execute(sql, *values)
                tally.note(order)

        watch.begin()
        async with asyncio.TaskGroup() as group:
            for number in range(LANES):
                group.create_task(lane(everything[number::LANES]))
        return watch.took(COUNT)


def _statements(order: Order) -> Sequence[Statement]:
    """Write down what choreo's transaction of this event says, too."""
    identity, now, fingerprint = str(uuid4()), time_ns() // 1_000, uuid4().bytes
    answer, lane = str(uuid5(UUID(identity), "receipt")), fingerprint
    key = order.customer.encode()
    return (
        (INBOX, (1, identity, SOURCE, fingerprint, now)),
        (EFFECT, (order.customer, order.number)),
        (OUTBOX, (lane, answer, key, HEADERS, order.model_dump_json().encode(), now)),
    )

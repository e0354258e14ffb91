"""Many handlers share transactions, and fail, are cancelled and lose connections at random."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from choreo.store.port import Verdict
from choreo_sql import SqlStore, SqlTransaction
from choreo_sql.ledger import SqlLedger
from tests.outbox.emitting import emission
from tests.store.companions import known
from tests.store.handling import books, handle, pay, payments

WRITTEN, DUPLICATE = Verdict.WRITTEN, Verdict.DUPLICATE

Behaviour = Callable[[SqlTransaction, str], Awaitable[None]]


async def _raises(transaction: SqlTransaction, name: str) -> None:
    await pay(transaction, name)
    raise LookupError


async def _swallows(transaction: SqlTransaction, name: str) -> None:
    await pay(transaction, name)
    with pytest.raises(IntegrityError):
        await pay(transaction, name)


async def _loses(transaction: SqlTransaction, name: str) -> None:
    await pay(transaction, name)
    await transaction.connection.invalidate()


async def _stops(transaction: SqlTransaction, name: str) -> None:
    await pay(transaction, name)
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


MISHAPS: Sequence[Behaviour] = (_raises, _swallows, _loses, _stops)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_others_do_each_effect_is_there_once_when_all_have_ended(
    shared_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    names = [f"{number:02}" for number in range(40)]

    async def until_ended(store: SqlStore, ledger: SqlLedger, name: str) -> None:
        mishaps = [chance.choice(MISHAPS) for _ in range(chance.choice([0, 0, 1, 2]))]
        while True:
            behaviour = mishaps.pop() if mishaps else pay

            async def handler(transaction: SqlTransaction, does: Behaviour = behaviour) -> None:
                await does(transaction, name)

            one = asyncio.create_task(handle(ledger, name, handler, [emission(name)]))
            await asyncio.wait([one])
            error = None if one.cancelled() else one.exception()
            if not one.cancelled() and error is None and one.result() in {WRITTEN, DUPLICATE}:
                return
            assert one.cancelled() or isinstance(error, Exception), (name, store.url)

    async with books(shared_url) as (store, ledger):
        async with asyncio.timeout(50), asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(until_ended(store, ledger, name))

        assert await payments(store) == names
        async with store.connections.reading() as connection:
            rows = await connection.execute(text("SELECT identity FROM choreo_outbox ORDER BY 1"))
            assert [row.identity for row in rows] == names
        assert await known(ledger, *names) == set(names)

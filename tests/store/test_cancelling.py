"""Whoever is cancelled, wherever: nothing is half written, and no connection is lost."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from choreo.message import Delivery
from choreo.store.flights import Incarnation
from choreo.store.lot import Laid, Parking
from choreo.store.outbox import Settled
from choreo.store.port import Attempt, End, Lease, Verdict
from choreo_sql import SqlStore, SqlTransaction
from choreo_sql.connections import PostgresConnections, SqliteConnections
from choreo_sql.ledger import SqlLedger
from tests.outbox.emitting import Place, emission
from tests.patience import patient
from tests.store.handling import books, claim, handle, pay, payments
from tests.store.interruption import interrupted

LINE = b"sixteen-bytes-id"
Work = Callable[[SqlLedger, str], Coroutine[Any, Any, object]]


def lent(store: SqlStore) -> int:
    """Count the connections that nobody has given back."""
    match store.connections:
        case PostgresConnections() as pools:
            engines, kept = [pools._books, pools._lanes, pools._relay], pools._kept
        case SqliteConnections() as pools:
            engines, kept = [pools._writer, pools._readers], pools._kept
        case other:
            raise AssertionError(other)
    taken = sum(engine.pool.checkedout() for engine in engines)  # type: ignore[attr-defined]  # the class used has it
    return int(taken) - kept.idle - pools._asked.idle


async def _effect(ledger: SqlLedger, identity: str) -> None:
    await handle(ledger, identity, lambda transaction: pay(transaction, identity))


async def _session(ledger: SqlLedger, identity: str) -> None:
    async def handler(transaction: SqlTransaction) -> None:
        await pay(transaction, identity)
        session = transaction.session()
        _ = await session.connection()

    await handle(ledger, identity, handler)


async def _finish(ledger: SqlLedger, identity: str) -> None:
    await ledger.finish([End(claim=claim(identity))])


async def _lease(ledger: SqlLedger, identity: str) -> None:
    lease = await ledger.lease(claim(identity), "one", timedelta(minutes=1))
    assert isinstance(lease, Lease)
    await ledger.renew([lease], timedelta(minutes=1))
    await ledger.release(lease)


async def _read(ledger: SqlLedger, identity: str) -> None:
    await ledger.note([Attempt(claim=claim(identity), attempts=1, first_failed=datetime.now(UTC))])
    await ledger.recall([claim(identity).key])
    await ledger.expire(datetime.now(UTC) - timedelta(days=1), 10)


async def _lot(ledger: SqlLedger, identity: str) -> None:
    event = Parking(
        line=LINE,
        handler=0,
        source="urn:source",
        id=identity,
        generation=0,
        delivery=Delivery("topic", b"body"),
        number=(0, 5),
        stream="a",
    )
    await ledger.order.lot.park(event, (), None)
    await ledger.order.lot.call([LINE])
    await ledger.order.lot.drop([LINE], None)


async def _parked_key(ledger: SqlLedger, identity: str) -> None:
    lot, place = ledger.order.lot, 0
    head, behind = (
        Parking(
            line=LINE,
            handler=0,
            source="urn:source",
            id=f"{identity} {name}",
            generation=0,
            delivery=Delivery("topic", b"body"),
        )
        for name in ("head", "behind")
    )
    await lot.drop([LINE], None)  # what was cancelled has left it in its hands
    await lot.park(head, (), timedelta(0))
    assert (await lot.append([behind]))[0] in {Laid.LAID, Laid.THERE}
    for line in await lot.take(1, timedelta(seconds=30)):
        ((place, _),) = [one.ticket for one in await lot.first(line, 1)]
        await lot.put_off(line, None, "failed")
    assert place
    await lot.drop([LINE], None)


async def _riding(ledger: SqlLedger, identity: str) -> None:
    """Lay one behind a parked event while others end."""
    ending = [_finish(ledger, f"{identity} {number}") for number in range(3)]
    await asyncio.gather(_parked_key(ledger, identity), *ending)


async def _depart(ledger: SqlLedger, identity: str) -> None:
    process = Incarnation(id=identity, host="here", pid=1, started="now")
    await ledger.order.flights.depart(process, 1, [LINE], ())
    await ledger.order.flights.depart(process, 2, [LINE], (1,))


async def _relay(ledger: SqlLedger, identity: str) -> None:
    place = Place(ledger)
    await place.emit(emission(identity))
    rows = await place.read()
    assert identity in {row.identity for row in rows}
    await ledger.outbox.settle("one", Settled(accepted=rows))
    await ledger.outbox.fire("one", 1)


WORK = [_effect, _session, _finish, _lease, _read, _lot, _parked_key, _riding, _depart, _relay]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("work", WORK)
async def test_wherever_a_task_is_cancelled_the_store_is_whole(url: str, work: Work) -> None:
    async with books(url) as (store, ledger):
        turn, struck = 0, True
        while struck:
            turn += 1
            async with asyncio.timeout(patient(20)):
                struck = await interrupted(work(ledger, f"{turn:03}"), turn)
                await work(ledger, f"{turn:03} after")
            assert lent(store) == 0

        assert turn > 1
        if work in {_effect, _session}:
            await _accounts_agree(store, ledger, turn)


async def _accounts_agree(store: SqlStore, ledger: SqlLedger, turns: int) -> None:
    """Find what a handler wrote if, and only if, its event ended."""
    names = [f"{turn:03}{after}" for turn in range(1, turns + 1) for after in ("", " after")]
    known = await ledger.recall([claim(name).key for name in names])
    assert await payments(store) == sorted(key[2] for key in known)
    assert {f"{turn:03} after" for turn in range(1, turns + 1)} <= {key[2] for key in known}


async def test_a_caller_that_is_cancelled_does_not_harm_its_neighbours(url: str) -> None:
    async with books(url) as (_, ledger):
        tasks = [asyncio.create_task(_finish(ledger, str(number))) for number in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.wait(tasks)

        assert [task.exception() for task in tasks[1::2]] == [None] * 20
        verdicts = await ledger.finish([End(claim=claim(str(number))) for number in range(40)])
        assert verdicts[1::2] == [Verdict.DUPLICATE] * 20


async def test_a_store_is_closed_only_when_its_writing_is_done(url: str) -> None:
    async with books(url) as (_, ledger):
        ending = asyncio.create_task(_finish(ledger, "last"))
        await asyncio.sleep(0)
    await ending

    async with books(url) as (_, ledger):
        assert await ledger.finish([End(claim=claim("last"))]) == [Verdict.DUPLICATE]

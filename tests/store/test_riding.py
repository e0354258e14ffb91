"""What is laid behind a parked event rides in SQLite's transactions in which others end."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from choreo.errors import StoreError
from choreo.store.lot import Laid, Parking
from choreo.store.port import End, State, Verdict
from choreo_sql import SqlStore
from choreo_sql.ledger import SqlLedger
from tests.patience import patient
from tests.store.handling import books, claim
from tests.store.setups import sqlite_url
from tests.store.statements import driven
from tests.store.test_parked_key import LINE, parking

NOW = timedelta(0)
LEASE = timedelta(seconds=30)
REFUSAL = """
CREATE TRIGGER refusal BEFORE INSERT ON choreo_lot
BEGIN SELECT RAISE(ABORT, 'the lot is closed'); END
"""
FIRST = End(claim=claim("first"))
ENDS = [End(claim=claim(f"end {number}")) for number in range(30)]


@asynccontextmanager
async def parked(tmp_path: Path) -> AsyncGenerator[tuple[SqlStore, SqlLedger]]:
    """Open books in which one line is open, with one event in it."""
    async with books(sqlite_url(tmp_path)) as (store, ledger):
        await ledger.order.lot.park(parking("head"), (), NOW)
        yield store, ledger


async def beside(
    ledger: SqlLedger, ends: Sequence[End], events: Sequence[Parking], first: End = FIRST
) -> tuple[Sequence[Verdict], Sequence[Laid]]:
    """Lay *events* while *first* is written; *ends* are then, together."""
    beginning = asyncio.create_task(ledger.finish([first]))
    await asyncio.sleep(0)
    writing = asyncio.create_task(ledger.finish(ends))
    await asyncio.sleep(0)
    laid = await ledger.order.lot.append(events)
    assert await beginning == [Verdict.WRITTEN]
    return await writing, laid


async def lie(ledger: SqlLedger) -> list[bytes | None]:
    """List what lies in the line, which counts as many."""
    lot = ledger.order.lot
    (line,) = await lot.take(1, LEASE)
    found = await lot.first(line, 10)
    assert [waiting.events for waiting in await lot.lines(1)] == [len(found)]
    return [one.delivery.body for one in found]


async def test_an_event_behind_a_parked_one_takes_no_transaction_while_others_end(
    tmp_path: Path,
) -> None:
    async with parked(tmp_path) as (store, ledger):
        async with driven(store) as sent:
            verdicts, laid = await beside(ledger, ENDS, [parking("1"), parking("2")])

        assert verdicts == [Verdict.WRITTEN] * len(ENDS)
        assert laid == [Laid.LAID] * 2
        assert sent.count("COMMIT") == 2, "one for the first to come, and one for all others"
        assert await lie(ledger) == [b"head", b"1", b"2"]


@pytest.mark.parametrize("spoilt", ["line", "twin"])
async def test_who_cannot_be_laid_so_plainly_goes_alone_and_harms_no_end(
    tmp_path: Path, spoilt: str
) -> None:
    async with parked(tmp_path) as (_, ledger):
        if spoilt == "line":
            await ledger.order.lot.drop([LINE], None)
            expected = [Laid.MOVED] * 2
        else:
            await ledger.order.lot.append([parking("2")])
            expected = [Laid.LAID, Laid.THERE]

        verdicts, laid = await beside(ledger, ENDS, [parking("1"), parking("2")])

        assert verdicts == [Verdict.WRITTEN] * len(ENDS)
        assert laid[1] is expected[1]
        if spoilt == "twin":
            assert await lie(ledger) == [b"head", b"2", b"1"]
        else:
            assert not await ledger.order.lot.lines(1)


async def test_ends_that_are_written_again_without_others_take_it_along_once(
    tmp_path: Path,
) -> None:
    """An end refused half way has the transaction rolled back."""
    async with parked(tmp_path) as (_, ledger):
        known = replace(claim("used"), purpose="order-1")
        assert await ledger.finish([End(claim=known)]) == [Verdict.WRITTEN]
        late = End(claim=replace(claim("again"), purpose="order-1"))

        verdicts, laid = await beside(ledger, [*ENDS, late], [parking("1")])

        assert verdicts == [*[Verdict.WRITTEN] * len(ENDS), Verdict.DUPLICATE]
        assert laid == [Laid.LAID]
        assert await lie(ledger) == [b"head", b"1"]


async def test_whoever_waits_to_ride_is_served_if_all_who_end_are_cancelled(
    tmp_path: Path,
) -> None:
    async with parked(tmp_path) as (_, ledger):
        tasks = [asyncio.create_task(ledger.finish([end])) for end in ENDS]
        await asyncio.sleep(0)
        laying = asyncio.create_task(ledger.order.lot.append([parking("1")]))
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()

        assert await laying == [Laid.LAID]
        assert await lie(ledger) == [b"head", b"1"]


async def test_whoever_comes_as_the_last_end_is_committed_is_not_left_waiting(
    tmp_path: Path,
) -> None:
    committing = asyncio.Event()

    def begun(statement: str) -> None:
        if statement == "COMMIT":
            committing.set()

    async with parked(tmp_path) as (store, ledger), driven(store, begun):
        ending = asyncio.create_task(ledger.finish([FIRST]))
        await committing.wait()

        async with asyncio.timeout(patient(10)):
            assert await ledger.order.lot.append([parking("1")]) == [Laid.LAID]

        assert await ending == [Verdict.WRITTEN]


async def test_the_last_event_may_leave_its_line_in_the_transaction_that_would_take_another(
    tmp_path: Path,
) -> None:
    async with parked(tmp_path) as (_, ledger):
        lot = ledger.order.lot
        (line,) = await lot.take(1, LEASE)
        (head,) = await lot.first(line, 1)
        last = End(claim=claim("head"), state=State.DONE, parked=head.ticket)

        verdicts, laid = await beside(ledger, ENDS, [parking("1")], first=last)

        assert verdicts == [Verdict.WRITTEN] * len(ENDS)
        assert laid == [Laid.MOVED]
        assert not await lot.lines(1)


async def test_what_fails_where_it_rides_fails_alone(tmp_path: Path) -> None:
    async with parked(tmp_path) as (store, ledger):
        async with store.connections.writing() as connection:
            await connection.execute(text(REFUSAL))
        beginning = asyncio.create_task(ledger.finish([FIRST]))
        await asyncio.sleep(0)
        ending = asyncio.create_task(ledger.finish(ENDS))
        await asyncio.sleep(0)

        with pytest.raises(StoreError, match="the lot is closed"):
            await ledger.order.lot.append([parking("1")])

        assert await beginning == [Verdict.WRITTEN]
        assert await ending == [Verdict.WRITTEN] * len(ENDS)
        assert await lie(ledger) == [b"head"]

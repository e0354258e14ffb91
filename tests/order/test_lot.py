"""The parking lot in every store: nothing overtakes, nothing is left behind."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from choreo.message import Delivery
from choreo.store.lot import Laid, Line, Lot, Parking, Ticket, line_of
from choreo.store.port import Claim, End, Ledger, Verdict
from choreo.store.streams import Advance, Position

A, B = line_of("first", b"orders", b"a"), line_of("first", b"orders", b"b")
NOW = timedelta(0)
LEASE = timedelta(seconds=30)


def parking(number: int, line: bytes = A, advance: Advance | None = None) -> Parking:
    return Parking(
        line=line,
        handler=0,
        source="urn:source",
        id=f"event-{number}",
        generation=0,
        delivery=delivery(number),
        advance=advance,
        note=f"failed {number}",
    )


def delivery(number: int) -> Delivery:
    return Delivery(
        topic="orders",
        body=b"\x00\xff%d" % number,
        key=b"\xff\x00",
        headers=[("ce_id", b"%d" % number), ("ce_id", None), ("ü", b"\xff")],
        stream="orders/3",
        position=number,
        timestamp=1.5,
    )


def end(number: int, ticket: Ticket) -> End:
    claim = Claim(
        key=(0, "urn:source", f"event-{number}"), fingerprint=b"f" * 16, at=datetime.now(UTC)
    )
    return End(claim=claim, parked=ticket)


async def bodies(lot: Lot, line: Line) -> Sequence[bytes | None]:
    return [parked.delivery.body for parked in await lot.first(line, 100)]


async def test_events_are_kept_whole_and_in_order(ledger: Ledger[object]) -> None:
    lot = ledger.order.lot
    await lot.park(parking(1), [parking(2), parking(3)], NOW)
    await lot.append([parking(4)])

    (line,) = await lot.take(10, LEASE)
    first = await lot.first(line, 3)

    assert line.line == A
    assert [parked.delivery.position for parked in first] == [1, 2, 3]
    came, went = delivery(1), first[0].delivery
    assert (went.topic, went.key, went.headers, went.body) == (
        came.topic, came.key, came.headers, came.body,
    )  # fmt: skip
    assert (went.stream, went.position, went.timestamp) == ("orders/3", 1, 1.5)


async def test_what_comes_late_is_laid_nowhere_unless_it_lies_there_already(
    ledger: Ledger[object],
) -> None:
    lot = ledger.order.lot
    await lot.park(parking(1), [parking(2)], NOW)

    laid = await lot.append([replace(parking(number), late=True) for number in (3, 2)])

    assert laid == [Laid.ABSENT, Laid.THERE]
    (line,) = await lot.take(10, LEASE)
    assert await bodies(lot, line) == [delivery(1).body, delivery(2).body]


async def test_the_line_is_gone_with_its_last_event_and_who_comes_then_is_told(
    ledger: Ledger[object],
) -> None:
    """Nothing is laid behind what is not there any more, and nothing is lost on the way."""
    lot = ledger.order.lot
    await lot.park(parking(1), (), NOW)
    assert await lot.open([A, B]) == {A}
    (line,) = await lot.take(10, LEASE)
    (head,) = await lot.first(line, 10)

    assert await lot.append([parking(2)]) == [Laid.LAID]
    assert await ledger.finish([end(1, head.ticket)]) == [Verdict.WRITTEN]
    (head,) = await lot.first(line, 10)
    assert await ledger.finish([end(2, head.ticket)]) == [Verdict.WRITTEN]

    assert await lot.open([A]) == frozenset()
    assert await lot.append([parking(3), parking(4)]) == [Laid.MOVED, Laid.MOVED]
    assert await lot.first(line, 10) == []
    assert await lot.lines(10) == []


async def test_an_event_lies_in_the_lot_once(ledger: Ledger[object]) -> None:
    """Its process died before the broker heard that it is parked."""
    lot = ledger.order.lot
    await lot.park(parking(1), [parking(2)], NOW)

    await lot.park(parking(1), [parking(2)], NOW)
    assert await lot.append([parking(2), parking(3)]) == [Laid.THERE, Laid.LAID]

    (line,) = await lot.take(10, LEASE)
    assert await bodies(lot, line) == [delivery(number).body for number in (1, 2, 3)]
    (shown,) = await lot.lines(10)
    assert (shown.events, shown.handler, shown.topic, shown.key) == (
        3,
        "first",
        "orders",
        b"\xff\x00",
    )
    assert shown.note == "failed 1"


async def test_a_line_is_due_never_early_and_goes_to_one_owner(ledger: Ledger[object]) -> None:
    lot = ledger.order.lot
    await lot.park(parking(1), (), timedelta(hours=1))
    await lot.park(parking(2, B), (), NOW)

    (line,) = await lot.take(10, LEASE)
    assert line.line == B
    assert await lot.take(10, LEASE) == []
    rest = await lot.next_due()
    assert rest is not None
    assert timedelta(0) < rest <= LEASE

    await lot.give_back(line)
    assert [again.line for again in await lot.take(10, LEASE)] == [B]


async def test_an_owner_whose_lease_ran_out_writes_nothing_any_more(
    ledger: Ledger[object],
) -> None:
    """I5: the fence, not the time, decides."""
    lot = ledger.order.lot
    await lot.park(parking(1), [parking(2)], NOW)
    (stale,) = await lot.take(10, timedelta(0))
    (head,) = await lot.first(stale, 1)
    (line,) = await lot.take(10, LEASE)

    assert line.fence > stale.fence
    assert await ledger.finish([end(1, head.ticket)]) == [Verdict.MOVED]
    assert await lot.renew([stale], LEASE) == [False]
    assert await lot.put_off(stale, NOW, "too late") is False
    assert await lot.first(stale, 1) == []
    assert await lot.renew([line], LEASE) == [True]
    assert len(await lot.first(line, 10)) == 2


async def test_failed_attempts_count_until_the_head_has_ended(ledger: Ledger[object]) -> None:
    lot = ledger.order.lot
    await lot.park(parking(1), [parking(2)], NOW)
    for attempts in range(3):
        (line,) = await lot.take(10, LEASE)
        assert line.attempts == attempts
        assert await lot.put_off(line, NOW, "again")

    (line,) = await lot.take(10, LEASE)
    (head, _) = await lot.first(line, 10)
    await ledger.finish([end(1, head.ticket)])
    await lot.give_back(line)

    (line,) = await lot.take(10, LEASE)
    assert line.attempts == 0


async def test_a_held_line_waits_until_it_is_let_go_on(ledger: Ledger[object]) -> None:
    lot = ledger.order.lot
    await lot.park(parking(1), (), NOW)
    (line,) = await lot.take(10, LEASE)
    await lot.put_off(line, None, "no more")

    assert await lot.take(10, LEASE) == []
    assert await lot.next_due() is None
    assert await lot.revive([B]) == 0
    assert await lot.revive() == 1
    (line,) = await lot.take(10, LEASE)
    assert line.attempts == 0


async def test_a_numbered_stream_moves_with_what_is_parked(ledger: Ledger[object]) -> None:
    """R3: from here on the line keeps the order, whoever asks for the stream's position."""
    order = ledger.order

    def advance(expected: int, following: int) -> Advance:
        return Advance(
            handler=0, source="s", stream="a", epoch=0, expected=expected, next=following
        )

    assert await order.lot.park(parking(1, advance=advance(0, 2)), (), NOW)
    laid = await order.lot.append(
        [parking(2, advance=advance(2, 3)), parking(4, B, advance(9, 10)), parking(3)]
    )

    assert laid == [Laid.LAID, Laid.MOVED, Laid.LAID]
    assert await order.streams.positions([(0, "s", "a")]) == {(0, "s", "a"): Position(0, 3)}
    assert not await order.lot.park(parking(5, B, advance(9, 10)), (), NOW)
    assert await order.lot.open([B]) == frozenset()


@pytest.mark.timeout(30)
async def test_who_lays_and_who_lets_out_at_once_never_lose_nor_overtake(
    ledger: Ledger[object],
) -> None:
    """The last event leaves while the next one arrives: it is laid in, or told to go ahead."""
    lot = ledger.order.lot
    for turn in range(0, 60, 2):
        await lot.park(parking(turn), (), NOW)
        (line,) = await lot.take(10, LEASE)
        (head,) = await lot.first(line, 1)

        (laid,), (left,) = await asyncio.gather(
            lot.append([parking(turn + 1)]), ledger.finish([end(turn, head.ticket)])
        )

        assert left is Verdict.WRITTEN
        waiting = await lot.first(line, 10)
        assert len(waiting) == (laid is Laid.LAID)
        assert await lot.open([A]) == ({A} if waiting else frozenset())
        for parked in waiting:
            assert await ledger.finish([end(turn + 1, parked.ticket)]) == [Verdict.WRITTEN]

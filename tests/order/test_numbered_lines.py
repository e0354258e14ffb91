"""Lines that wait behind a gap, in every store: in the order of numbers, and woken exactly."""

from dataclasses import replace
from datetime import timedelta

import pytest

from choreo.errors import IdConflict
from choreo.store.lot import Laid, Line, Lot, Parking, Ticket, line_of
from choreo.store.port import Ledger
from choreo.store.streams import Advance
from tests.order.test_lot import LEASE, NOW, A, delivery
from tests.order.test_lot import parking as unnumbered

GAP = line_of("first", b"gap", b"urn:source", b"a")
OTHER = line_of("first", b"gap", b"urn:source", b"b")
LATER = timedelta(hours=1)


def parking(number: int, *, epoch: int = 0, line: bytes = GAP, stream: str = "a") -> Parking:
    return Parking(
        line=line,
        handler=0,
        source="urn:source",
        id=f"event-{epoch}-{number}",
        generation=0,
        delivery=delivery(number),
        number=(epoch, number),
        stream=stream,
    )


def step(expected: int, following: int, *, epoch: int = 0, stream: str = "a") -> Advance:
    return Advance(
        handler=0,
        source="urn:source",
        stream=stream,
        epoch=epoch,
        expected=expected,
        next=following,
    )


async def positions(lot: Lot, line: Line) -> list[int]:
    return [parked.delivery.position for parked in await lot.first(line, 100)]


async def taken(lot: Lot) -> Line:
    (line,) = await lot.take(10, LEASE)
    return line


async def test_numbered_events_wait_in_the_order_of_their_numbers(ledger: Ledger[object]) -> None:
    lot = ledger.order.lot
    await lot.park(parking(30), [parking(9), parking(4, epoch=1)], NOW)
    await lot.append([parking(5), parking(100), parking(3, epoch=1)])

    line = await taken(lot)

    assert line.numbered
    assert await positions(lot, line) == [5, 9, 30, 100, 3, 4]
    assert await lot.newest(line) == 1
    (shown,) = await lot.lines(10)
    assert (shown.numbered, shown.events, shown.handler) == (True, 6, "first")


async def test_a_line_is_called_by_what_may_fill_its_gap_and_by_nothing_else(
    ledger: Ledger[object],
) -> None:
    lot = ledger.order.lot
    await lot.park(parking(5), (), None)
    assert await lot.append([parking(6)]) == [Laid.LAID]
    assert await lot.take(10, LEASE) == []
    assert await lot.next_due() is None

    await lot.append([parking(4)])
    line = await taken(lot)
    assert line.rest is None
    assert await lot.put_off(line, None, "waits")
    assert await lot.take(10, LEASE) == []

    await lot.append([parking(1, epoch=1)])
    line = await taken(lot)
    assert await lot.put_off(line, LATER, "waits")
    await lot.call([GAP])
    assert await lot.next_due() == NOW
    rest = (await taken(lot)).rest
    assert rest is not None
    assert NOW < rest <= LATER


async def test_what_comes_late_is_no_copy_of_what_still_waits_for_its_number(
    ledger: Ledger[object],
) -> None:
    """Whoever is told so may bury it: the one that waits finds that out at its turn."""
    lot = ledger.order.lot
    await lot.park(parking(5), (), None)
    await lot.park(replace(parking(9), line=A, number=None), (), None)

    laid = await lot.append([replace(parking(5), line=A, number=None, late=True)])

    assert laid == [Laid.ABSENT]
    assert {line.events for line in await lot.lines(10)} == {1}


async def test_a_call_that_comes_while_the_line_is_looked_at_is_not_lost(
    ledger: Ledger[object],
) -> None:
    """The gap was filled between the look and the wait."""
    lot = ledger.order.lot
    await lot.park(parking(5), (), NOW)
    line = await taken(lot)
    await lot.call([GAP, A])

    assert await lot.put_off(line, None, "waits") is False
    await lot.give_back(line)

    line = await taken(lot)
    assert line.attempts == 0
    assert await lot.put_off(line, NOW, "asked once")
    line = await taken(lot)
    assert line.attempts == 1
    assert await lot.wait(line, NOW, "another gap")
    assert (await taken(lot)).attempts == 0


async def test_a_call_is_not_lost_with_who_took_the_line_for_it(ledger: Ledger[object]) -> None:
    """It died before it looked: the next one does, although the line is held."""
    lot = ledger.order.lot
    await lot.park(parking(5), (), None)
    await lot.call([GAP])
    (line,) = await lot.take(10, NOW)

    (again,) = await lot.take(10, LEASE)
    assert again.fence > line.fence
    await lot.heard(line)
    assert await lot.renew([again], LEASE) == [True]
    await lot.heard(again)

    assert await lot.take(10, LEASE) == []
    assert await lot.next_due() is None


async def test_a_line_whose_stream_has_reached_it_is_found_though_nobody_called(
    ledger: Ledger[object],
) -> None:
    """Who moved the stream did not know of the line, or died before it called."""
    lot, streams = ledger.order.lot, ledger.order.streams
    await lot.park(parking(5), [parking(9)], None)
    await lot.park(parking(6, line=OTHER, stream="b"), (), None)
    await lot.park(unnumbered(1), (), None)
    await streams.move([step(0, 4), step(0, 5, stream="c")])
    assert await lot.sweep(10) == 0

    await streams.move([step(4, 5), step(0, 4, stream="b")])
    assert await lot.sweep(10) == 1
    assert await lot.sweep(10) == 0  # it is called by now
    line = await taken(lot)
    assert line.line == GAP

    await streams.move([step(4, 6, stream="b")])
    assert await lot.sweep(10) == 1
    assert (await taken(lot)).line == OTHER
    assert await lot.sweep(10) == 0  # both are worked on


async def test_a_line_of_an_epoch_that_is_over_is_found_and_one_of_the_next_is_not(
    ledger: Ledger[object],
) -> None:
    """R4: what is stale is not waited for."""
    lot, streams = ledger.order.lot, ledger.order.streams
    await lot.park(parking(5, epoch=2), (), None)
    await lot.park(parking(6, epoch=4, line=OTHER, stream="b"), (), None)

    await streams.move([step(0, 2, epoch=3), step(0, 9, epoch=3, stream="b")])

    assert await lot.sweep(10) == 1
    assert (await taken(lot)).line == GAP


async def test_so_many_lines_are_called_at_once_and_the_others_then(
    ledger: Ledger[object],
) -> None:
    lot, streams = ledger.order.lot, ledger.order.streams
    await lot.park(parking(5), (), None)
    await lot.park(parking(6, line=OTHER, stream="b"), (), None)
    await streams.move([step(0, 6), step(0, 6, stream="b")])

    assert [await lot.sweep(1), await lot.sweep(1), await lot.sweep(1)] == [1, 1, 0]


async def test_who_calls_is_told_which_lines_there_are(ledger: Ledger[object]) -> None:
    lot = ledger.order.lot
    await lot.park(parking(5), (), None)
    await lot.park(unnumbered(1), (), None)

    assert await lot.call([GAP, OTHER, A]) == {GAP}
    assert await lot.call([]) == frozenset()
    assert await lot.call() == {GAP}


async def test_a_gap_is_let_go_of_by_name_and_not_by_a_start(ledger: Ledger[object]) -> None:
    """R1: a service that starts again gives up no numbers that its handler wants to wait for."""
    lot = ledger.order.lot
    await lot.park(parking(5), (), None)
    await lot.park(unnumbered(1), (), None)

    assert await lot.revive() == 1
    (line,) = await lot.take(10, LEASE)
    assert line.line == A
    assert await lot.revive([GAP]) == 1

    line = await taken(lot)
    assert (line.line, line.released, line.rest) == (GAP, True, NOW)
    await lot.put_off(line, None, "the next gap")
    await lot.call()
    assert not (await taken(lot)).released


async def test_an_event_goes_from_one_line_to_another_in_one_transaction(
    ledger: Ledger[object],
) -> None:
    """Its number has come, and its key is parked: it is in the lot once, and behind."""
    lot = ledger.order.lot
    await lot.park(unnumbered(1), (), None)
    await lot.park(parking(5), [parking(6)], NOW)
    line = await taken(lot)
    five, six = await lot.first(line, 10)

    def moving(number: int, ticket: Ticket) -> Parking:
        plain = parking(number)
        return Parking(
            line=A, handler=0, source=plain.source, id=plain.id, generation=0,
            delivery=plain.delivery, leaves=ticket,
        )  # fmt: skip

    stale = Ticket(six.ticket.place, line.fence - 1)
    assert await lot.append([moving(5, five.ticket), moving(6, stale)]) == [Laid.LAID, Laid.MOVED]
    assert await positions(lot, line) == [6]
    assert not await lot.park(moving(6, stale), (), NOW)
    assert await lot.append([moving(6, six.ticket)]) == [Laid.LAID]
    assert await lot.first(line, 10) == []

    await lot.revive([A])
    assert await positions(lot, await taken(lot)) == [1, 5, 6]


@pytest.mark.parametrize("open_before", [False, True])
async def test_a_copy_that_waits_for_its_number_is_no_hindrance_to_the_event_itself(
    ledger: Ledger[object], *, open_before: bool
) -> None:
    """R12: the event failed and is parked; its copy, left behind, would be taken for late."""
    lot = ledger.order.lot
    await lot.park(parking(5), [parking(6)], None)
    if open_before:
        await lot.park(unnumbered(1), (), None)
    itself = replace(parking(5), line=A, number=None, stream="")

    if open_before:
        assert await lot.append([itself]) == [Laid.LAID]
    else:
        assert await lot.park(itself, (), None)
    assert await lot.append([itself]) == [Laid.THERE]
    assert await lot.append([parking(5)]) == [Laid.THERE]

    await lot.call([GAP])
    assert await positions(lot, await taken(lot)) == [6]
    await lot.revive([A])
    assert await positions(lot, await taken(lot)) == ([1, 5] if open_before else [5])


async def test_a_line_ends_with_a_copy_that_was_alone_in_it(ledger: Ledger[object]) -> None:
    lot = ledger.order.lot
    await lot.park(parking(5), (), None)
    itself = replace(parking(5), line=A, number=None, stream="")

    assert await lot.park(itself, (), NOW)

    assert [line.line for line in await lot.lines(10)] == [A]
    assert await lot.open([GAP, A]) == {A}


async def test_another_payload_under_the_id_of_a_copy_is_a_conflict(ledger: Ledger[object]) -> None:
    """I10."""
    lot = ledger.order.lot
    await lot.park(parking(5), (), None)
    other = replace(parking(5), line=A, number=None, stream="", delivery=delivery(7))

    with pytest.raises(IdConflict):
        await lot.park(other, (), NOW)

    assert await lot.open([GAP, A]) == {GAP}


async def test_an_operator_drops_the_first_of_a_line_or_all_of_it(ledger: Ledger[object]) -> None:
    lot = ledger.order.lot
    await lot.park(unnumbered(1), [unnumbered(2)], None)
    await lot.park(parking(5), [parking(6), parking(7)], None)
    await lot.park(parking(5, epoch=9, line=OTHER), (), LATER)

    assert await lot.drop([A, GAP], 1) == 2
    lines = {line.line: line for line in await lot.take(10, LEASE)}
    assert set(lines) == {A, GAP}
    assert await positions(lot, lines[A]) == [2]
    assert await positions(lot, lines[GAP]) == [6, 7]

    assert await lot.drop([A, GAP], None) == 3
    assert [shown.line for shown in await lot.lines(10)] == [OTHER]
    assert await lot.put_off(lines[GAP], NOW, "it is not there") is False


async def test_a_line_whose_number_is_at_work_is_put_off_and_called_all_the_same(
    ledger: Ledger[object],
) -> None:
    lot = ledger.order.lot
    await lot.park(parking(5), (), NOW)

    await lot.postpone([GAP, OTHER], LATER)
    put_off = await lot.take(10, LEASE)
    await lot.postpone([GAP], timedelta(minutes=1))
    await lot.call([GAP])
    (line,) = await lot.take(10, LEASE)

    assert put_off == []
    assert line.rest is not None
    assert line.rest > timedelta(minutes=30), "it is due as late as it was to be at the latest"


async def test_what_is_held_or_let_go_on_by_somebody_is_not_put_off(
    ledger: Ledger[object],
) -> None:
    lot = ledger.order.lot
    await lot.park(parking(5), (), None)

    await lot.postpone([GAP], LATER)
    held = await lot.next_due()
    await lot.revive([GAP])
    await lot.postpone([GAP], LATER)

    assert held is None
    assert [line.released for line in await lot.take(10, LEASE)] == [True]

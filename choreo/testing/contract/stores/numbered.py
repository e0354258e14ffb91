"""Lines that wait behind a gap: in the order of numbers, woken by what may fill it."""

from dataclasses import replace
from datetime import timedelta

from choreo.store.lot import Laid, Line, Lot, Parking, line_of
from choreo.testing.contract.bench import check, same
from choreo.testing.contract.stores.lots import LEASE, NOW, A, delivery
from choreo.testing.contract.stores.lots import parking as unnumbered
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import SOURCE, shelf
from choreo.testing.contract.stores.streams import step

GAP = line_of("first", b"gap", SOURCE.encode(), b"a")
OTHER = line_of("first", b"gap", SOURCE.encode(), b"b")
OTHER_STREAM = (0, SOURCE, "b")
LATER = timedelta(hours=1)


def parking(number: int, *, epoch: int = 0, line: bytes = GAP, stream: str = "a") -> Parking:
    """Describe an event that came too soon."""
    return Parking(
        line=line,
        handler=0,
        source=SOURCE,
        id=f"event-{epoch}-{number}",
        generation=0,
        delivery=delivery(number),
        number=(epoch, number),
        stream=stream,
    )


async def positions(lot: Lot, line: Line) -> list[int]:
    """Read the numbers of all that waits in a line."""
    return [parked.delivery.position for parked in await lot.first(line, 100)]


async def taken(lot: Lot) -> Line:
    """Take the one line that is due or called."""
    (line,) = await lot.take(10, LEASE)
    return line


class NumberedLines:
    """A numbered line is looked at when its gap may be filled, or its patience is over."""

    async def test_numbered_events_wait_in_the_order_of_their_numbers(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(30), [parking(9), parking(4, epoch=1)], NOW)
            await lot.append([parking(5), parking(100), parking(3, epoch=1)])

            line = await taken(lot)

            check(line.numbered, "expected line.numbered")
            same(await positions(lot, line), [5, 9, 30, 100, 3, 4], "positions(lot, line)")
            same(await lot.newest(line), 1, "lot.newest(line)")
            (shown,) = await lot.lines(10)
            same(
                (shown.numbered, shown.events, shown.handler),
                (True, 6, "first"),
                "(shown.numbered, shown.events, shown.handler)",
            )

    async def test_a_line_is_called_by_what_may_fill_its_gap_and_by_nothing_else(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), None)
            same(await lot.append([parking(6)]), [Laid.LAID], "lot.append([parking(6)])")
            same(await lot.take(10, LEASE), [], "lot.take(10, LEASE)")
            check(await lot.next_due() is None, "expected lot.next_due() is None")

            await lot.append([parking(4)])
            line = await taken(lot)
            check(line.rest is None, "expected line.rest is None")
            check(
                await lot.put_off(line, None, "waits"), "expected lot.put_off(line, None, 'waits')"
            )
            same(await lot.take(10, LEASE), [], "lot.take(10, LEASE)")

            await lot.append([parking(1, epoch=1)])
            line = await taken(lot)
            check(
                await lot.put_off(line, LATER, "waits"),
                "expected lot.put_off(line, LATER, 'waits')",
            )
            await lot.call([GAP])
            same(await lot.next_due(), NOW, "lot.next_due()")
            rest = (await taken(lot)).rest
            check(rest is not None and NOW < rest <= LATER, f"due after {rest}")

    async def test_what_comes_late_is_no_copy_of_what_still_waits_for_its_number(
        self, setup: StoreSetup
    ) -> None:
        """Whoever is told so may bury it: the one that waits finds that out at its turn."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), None)
            await lot.park(replace(parking(9), line=A, number=None), (), None)

            laid = await lot.append([replace(parking(5), line=A, number=None, late=True)])

            same(laid, [Laid.ABSENT], "laid")
            same(
                {line.events for line in await lot.lines(10)},
                {1},
                "{line.events for line in lot.lines(10)}",
            )

    async def test_a_call_that_comes_while_the_line_is_looked_at_is_not_lost(
        self, setup: StoreSetup
    ) -> None:
        """The gap was filled between the look and the wait."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), NOW)
            line = await taken(lot)
            await lot.call([GAP, A])

            check(
                await lot.put_off(line, None, "waits") is False,
                "expected lot.put_off(line, None, 'waits') is False",
            )
            await lot.give_back(line)

            line = await taken(lot)
            same(line.attempts, 0, "line.attempts")
            check(
                await lot.put_off(line, NOW, "asked once"),
                "expected lot.put_off(line, NOW, 'asked once')",
            )
            line = await taken(lot)
            same(line.attempts, 1, "line.attempts")
            check(
                await lot.wait(line, NOW, "another gap"),
                "expected lot.wait(line, NOW, 'another gap')",
            )
            same((await taken(lot)).attempts, 0, "(taken(lot)).attempts")

    async def test_a_call_is_not_lost_with_who_took_the_line_for_it(
        self, setup: StoreSetup
    ) -> None:
        """It died before it looked: the next one does, although the line is held."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), None)
            await lot.call([GAP])
            (line,) = await lot.take(10, NOW)

            (again,) = await lot.take(10, LEASE)
            check(again.fence > line.fence, "expected again.fence > line.fence")
            await lot.heard(line)
            same(await lot.renew([again], LEASE), [True], "lot.renew([again], LEASE)")
            await lot.heard(again)

            same(await lot.take(10, LEASE), [], "lot.take(10, LEASE)")
            check(await lot.next_due() is None, "expected lot.next_due() is None")

    async def test_a_line_whose_stream_has_reached_it_is_found_though_nobody_called(
        self, setup: StoreSetup
    ) -> None:
        """Who moved the stream did not know of the line, or died before it called."""
        async with shelf(setup) as s:
            lot, streams = s.ledger.order.lot, s.ledger.order.streams
            await lot.park(parking(5), [parking(9)], None)
            await lot.park(parking(6, line=OTHER, stream="b"), (), None)
            await lot.park(unnumbered(1), (), None)
            await streams.move([step(0, 4), step(0, 5, key=(0, SOURCE, "c"))])
            same(await lot.sweep(10), 0, "lot.sweep(10)")

            await streams.move([step(4, 5), step(0, 4, key=OTHER_STREAM)])
            same(await lot.sweep(10), 1, "lot.sweep(10)")
            same(await lot.sweep(10), 0, "lot.sweep(10)")
            line = await taken(lot)
            same(line.line, GAP, "line.line")

            await streams.move([step(4, 6, key=OTHER_STREAM)])
            same(await lot.sweep(10), 1, "lot.sweep(10)")
            same((await taken(lot)).line, OTHER, "(taken(lot)).line")
            same(await lot.sweep(10), 0, "lot.sweep(10)")

    async def test_a_line_of_an_epoch_that_is_over_is_found_and_one_of_the_next_is_not(
        self, setup: StoreSetup
    ) -> None:
        """R4: what is stale is not waited for."""
        async with shelf(setup) as s:
            lot, streams = s.ledger.order.lot, s.ledger.order.streams
            await lot.park(parking(5, epoch=2), (), None)
            await lot.park(parking(6, epoch=4, line=OTHER, stream="b"), (), None)

            await streams.move([step(0, 2, epoch=3), step(0, 9, epoch=3, key=OTHER_STREAM)])

            same(await lot.sweep(10), 1, "lot.sweep(10)")
            same((await taken(lot)).line, GAP, "(taken(lot)).line")

    async def test_so_many_lines_are_called_at_once_and_the_others_then(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            lot, streams = s.ledger.order.lot, s.ledger.order.streams
            await lot.park(parking(5), (), None)
            await lot.park(parking(6, line=OTHER, stream="b"), (), None)
            await streams.move([step(0, 6), step(0, 6, key=OTHER_STREAM)])

            same(
                [await lot.sweep(1), await lot.sweep(1), await lot.sweep(1)],
                [1, 1, 0],
                "[lot.sweep(1), lot.sweep(1), lot.sweep(1)]",
            )

    async def test_who_calls_is_told_which_lines_there_are(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), None)
            await lot.park(unnumbered(1), (), None)

            same(await lot.call([GAP, OTHER, A]), {GAP}, "lot.call([GAP, OTHER, A])")
            same(await lot.call([]), frozenset[bytes](), "lot.call([])")
            same(await lot.call(), {GAP}, "lot.call()")

    async def test_a_gap_is_let_go_of_by_name_and_not_by_a_start(self, setup: StoreSetup) -> None:
        """R1: a start gives up no numbers that a handler wants to wait for."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), None)
            await lot.park(unnumbered(1), (), None)

            same(await lot.revive(), 1, "lot.revive()")
            (line,) = await lot.take(10, LEASE)
            same(line.line, A, "line.line")
            same(await lot.revive([GAP]), 1, "lot.revive([GAP])")

            line = await taken(lot)
            same(
                (line.line, line.released, line.rest),
                (GAP, True, NOW),
                "(line.line, line.released, line.rest)",
            )
            await lot.put_off(line, None, "the next gap")
            await lot.call()
            check(not (await taken(lot)).released, "expected not (taken(lot)).released")

    async def test_an_operator_drops_the_first_of_a_line_or_all_of_it(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(unnumbered(1), [unnumbered(2)], None)
            await lot.park(parking(5), [parking(6), parking(7)], None)
            await lot.park(parking(5, epoch=9, line=OTHER), (), LATER)

            same(await lot.drop([A, GAP], 1), 2, "lot.drop([A, GAP], 1)")
            lines = {line.line: line for line in await lot.take(10, LEASE)}
            same(set(lines), {A, GAP}, "set(lines)")
            same(await positions(lot, lines[A]), [2], "positions(lot, lines[A])")
            same(await positions(lot, lines[GAP]), [6, 7], "positions(lot, lines[GAP])")

            same(await lot.drop([A, GAP], None), 3, "lot.drop([A, GAP], None)")
            same(
                [shown.line for shown in await lot.lines(10)],
                [OTHER],
                "[shown.line for shown in lot.lines(10)]",
            )
            check(
                await lot.put_off(lines[GAP], NOW, "it is not there") is False,
                "expected lot.put_off(lines[GAP], NOW, 'it is not there') is False",
            )

    async def test_a_line_whose_number_is_at_work_is_put_off_and_called_all_the_same(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), NOW)

            await lot.postpone([GAP, OTHER], LATER)
            put_off = await lot.take(10, LEASE)
            await lot.postpone([GAP], timedelta(minutes=1))
            await lot.call([GAP])
            (line,) = await lot.take(10, LEASE)

            same(put_off, [], "put_off")
            check(line.rest is not None and line.rest > LATER / 2, f"due after {line.rest}")

    async def test_what_is_held_or_let_go_on_by_somebody_is_not_put_off(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), None)

            await lot.postpone([GAP], LATER)
            held = await lot.next_due()
            await lot.revive([GAP])
            await lot.postpone([GAP], LATER)

            check(held is None, "expected held is None")
            same(
                [line.released for line in await lot.take(10, LEASE)],
                [True],
                "[line.released for line in lot.take(10, LEASE)]",
            )

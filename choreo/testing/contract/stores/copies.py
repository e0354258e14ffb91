"""Events that go from one line to another, and copies of them: each lies in the lot once."""

from dataclasses import replace

from choreo.errors import IdConflict
from choreo.store.lot import Laid, Parking, Ticket
from choreo.testing.contract.bench import check, fail, same
from choreo.testing.contract.stores.lots import NOW, A, delivery
from choreo.testing.contract.stores.lots import parking as unnumbered
from choreo.testing.contract.stores.numbered import GAP, parking, positions, taken
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import shelf


class Copies:
    """What waits for its number and what failed at it are one event."""

    async def test_an_event_goes_from_one_line_to_another_in_one_transaction(
        self, setup: StoreSetup
    ) -> None:
        """Its number has come, and its key is parked: it is in the lot once, and behind."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
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
            same(
                await lot.append([moving(5, five.ticket), moving(6, stale)]),
                [Laid.LAID, Laid.MOVED],
                "lot.append([moving(5, five.ticket), moving(6, stale)])",
            )
            same(await positions(lot, line), [6], "positions(lot, line)")
            check(
                not await lot.park(moving(6, stale), (), NOW),
                "expected not lot.park(moving(6, stale), (), NOW)",
            )
            same(
                await lot.append([moving(6, six.ticket)]),
                [Laid.LAID],
                "lot.append([moving(6, six.ticket)])",
            )
            same(await lot.first(line, 10), [], "lot.first(line, 10)")

            await lot.revive([A])
            same(await positions(lot, await taken(lot)), [1, 5, 6], "positions(lot, taken(lot))")

    async def test_a_copy_that_waits_for_its_number_is_no_hindrance_to_the_event_itself(
        self, setup: StoreSetup
    ) -> None:
        """R12: the event failed and is parked; its copy, left behind, would be taken for late."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), [parking(6)], None)
            itself = replace(parking(5), line=A, number=None, stream="")

            check(await lot.park(itself, (), None), "expected it to be parked")
            same(await lot.append([itself]), [Laid.THERE], "fate of the event again")
            same(await lot.append([parking(5)]), [Laid.THERE], "fate of its copy again")

            await lot.call([GAP])
            same(await positions(lot, await taken(lot)), [6], "numbers in the line of the gap")
            await lot.revive([A])
            same(await positions(lot, await taken(lot)), [5], "numbers in its own line")

    async def test_a_copy_that_waits_is_no_hindrance_either_behind_others(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), [parking(6)], None)
            await lot.park(unnumbered(1), (), None)
            itself = replace(parking(5), line=A, number=None, stream="")

            same(await lot.append([itself]), [Laid.LAID], "fate of the event")

            await lot.call([GAP])
            same(await positions(lot, await taken(lot)), [6], "numbers in the line of the gap")
            await lot.revive([A])
            same(await positions(lot, await taken(lot)), [1, 5], "numbers in its own line")

    async def test_a_line_ends_with_a_copy_that_was_alone_in_it(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), None)
            itself = replace(parking(5), line=A, number=None, stream="")

            check(await lot.park(itself, (), NOW), "expected lot.park(itself, (), NOW)")

            same(
                [line.line for line in await lot.lines(10)],
                [A],
                "[line.line for line in lot.lines(10)]",
            )
            same(await lot.open([GAP, A]), {A}, "lot.open([GAP, A])")

    async def test_another_payload_under_the_id_of_a_copy_is_a_conflict(
        self, setup: StoreSetup
    ) -> None:
        """I10."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(5), (), None)
            other = replace(parking(5), line=A, number=None, stream="", delivery=delivery(7))

            try:
                await lot.park(other, (), NOW)
            except IdConflict:
                pass
            else:
                fail("another payload was laid under the id of an event that is there")

            same(await lot.open([GAP, A]), {GAP}, "lot.open([GAP, A])")

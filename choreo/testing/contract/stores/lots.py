"""What is parked behind a failed event: nothing overtakes, nothing is left behind."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from choreo.message import Delivery
from choreo.store.lot import Laid, Line, Lot, Parking, Ticket, line_of
from choreo.store.port import End, Verdict
from choreo.store.streams import Advance, Position
from choreo.testing.contract.bench import check, same
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import SOURCE, claim, shelf

A, B = line_of("first", b"orders", b"a"), line_of("first", b"orders", b"b")
NOW = timedelta(0)
LEASE = timedelta(minutes=5)
"""A lease that does not run out while a test lasts."""


def parking(number: int, line: bytes = A, advance: Advance | None = None) -> Parking:
    """Describe an event that failed, or waits behind one that did."""
    return Parking(
        line=line,
        handler=0,
        source=SOURCE,
        id=f"event-{number}",
        generation=0,
        delivery=delivery(number),
        advance=advance,
        note=f"failed {number}",
    )


def delivery(number: int) -> Delivery:
    """Make what is hard to keep as it came."""
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
    """End an event well that leaves its place."""
    return End(claim=claim(f"event-{number}"), parked=ticket)


async def bodies(lot: Lot, line: Line) -> Sequence[bytes | None]:
    """Read the bodies of all that waits in a line."""
    return [parked.delivery.body for parked in await lot.first(line, 100)]


class Lots:
    """A line keeps its order from the failure that opens it to the end of its last event."""

    async def test_events_are_kept_whole_and_in_order(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(1), [parking(2), parking(3)], NOW)
            await lot.append([parking(4)])

            (line,) = await lot.take(10, LEASE)
            first = await lot.first(line, 3)

            same(line.line, A, "line.line")
            same(
                [parked.delivery.position for parked in first],
                [1, 2, 3],
                "[parked.delivery.position for parked in first]",
            )
            came, went = delivery(1), first[0].delivery
            same(
                (went.topic, went.key, went.headers, went.body),
                (
                    came.topic,
                    came.key,
                    came.headers,
                    came.body,
                ),
                "(went.topic, went.key, went.headers, went.body)",
            )
            same(
                (went.stream, went.position, went.timestamp),
                ("orders/3", 1, 1.5),
                "(went.stream, went.position, went.timestamp)",
            )

    async def test_what_comes_late_is_laid_nowhere_unless_it_lies_there_already(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(1), [parking(2)], NOW)

            laid = await lot.append([replace(parking(number), late=True) for number in (3, 2)])

            same(laid, [Laid.ABSENT, Laid.THERE], "laid")
            (line,) = await lot.take(10, LEASE)
            same(await bodies(lot, line), [delivery(1).body, delivery(2).body], "bodies(lot, line)")

    async def test_the_line_is_gone_with_its_last_event_and_who_comes_then_is_told(
        self, setup: StoreSetup
    ) -> None:
        """Nothing is laid behind what is not there any more, and nothing is lost on the way."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(1), (), NOW)
            same(await lot.open([A, B]), {A}, "lot.open([A, B])")
            (line,) = await lot.take(10, LEASE)
            (head,) = await lot.first(line, 10)

            same(await lot.append([parking(2)]), [Laid.LAID], "lot.append([parking(2)])")
            same(
                await s.ledger.finish([end(1, head.ticket)]),
                [Verdict.WRITTEN],
                "s.ledger.finish([end(1, head.ticket)])",
            )
            (head,) = await lot.first(line, 10)
            same(
                await s.ledger.finish([end(2, head.ticket)]),
                [Verdict.WRITTEN],
                "s.ledger.finish([end(2, head.ticket)])",
            )

            same(await lot.open([A]), frozenset[bytes](), "lot.open([A])")
            same(
                await lot.append([parking(3), parking(4)]),
                [Laid.MOVED, Laid.MOVED],
                "lot.append([parking(3), parking(4)])",
            )
            same(await lot.first(line, 10), [], "lot.first(line, 10)")
            same(await lot.lines(10), [], "lot.lines(10)")

    async def test_an_event_lies_in_the_lot_once(self, setup: StoreSetup) -> None:
        """Its process died before the broker heard that it is parked."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(1), [parking(2)], NOW)

            await lot.park(parking(1), [parking(2)], NOW)
            same(
                await lot.append([parking(2), parking(3)]),
                [Laid.THERE, Laid.LAID],
                "lot.append([parking(2), parking(3)])",
            )

            (line,) = await lot.take(10, LEASE)
            same(
                await bodies(lot, line),
                [delivery(number).body for number in (1, 2, 3)],
                "bodies(lot, line)",
            )
            (shown,) = await lot.lines(10)
            same(
                (shown.events, shown.handler, shown.topic, shown.key),
                (
                    3,
                    "first",
                    "orders",
                    b"\xff\x00",
                ),
                "(shown.events, shown.handler, shown.topic, shown.key)",
            )
            same(shown.note, "failed 1", "shown.note")

    async def test_a_line_is_due_never_early_and_goes_to_one_owner(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(1), (), timedelta(hours=1))
            await lot.park(parking(2, B), (), NOW)

            (line,) = await lot.take(10, LEASE)
            same(line.line, B, "line.line")
            same(await lot.take(10, LEASE), [], "lot.take(10, LEASE)")
            rest = await lot.next_due()
            check(rest is not None and timedelta(0) < rest <= LEASE, f"due after {rest}")

            await lot.give_back(line)
            same(
                [again.line for again in await lot.take(10, LEASE)],
                [B],
                "[again.line for again in lot.take(10, LEASE)]",
            )

    async def test_an_owner_whose_lease_ran_out_writes_nothing_any_more(
        self, setup: StoreSetup
    ) -> None:
        """I5: the fence, not the time, decides."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(1), [parking(2)], NOW)
            (stale,) = await lot.take(10, timedelta(0))
            (head,) = await lot.first(stale, 1)
            (line,) = await lot.take(10, LEASE)

            check(line.fence > stale.fence, "expected line.fence > stale.fence")
            same(
                await s.ledger.finish([end(1, head.ticket)]),
                [Verdict.MOVED],
                "s.ledger.finish([end(1, head.ticket)])",
            )
            same(await lot.renew([stale], LEASE), [False], "lot.renew([stale], LEASE)")
            check(
                await lot.put_off(stale, NOW, "too late") is False,
                "expected lot.put_off(stale, NOW, 'too late') is False",
            )
            same(await lot.first(stale, 1), [], "lot.first(stale, 1)")
            same(await lot.renew([line], LEASE), [True], "lot.renew([line], LEASE)")
            same(len(await lot.first(line, 10)), 2, "len(lot.first(line, 10))")

    async def test_failed_attempts_count_until_the_head_has_ended(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(1), [parking(2)], NOW)
            for attempts in range(3):
                (line,) = await lot.take(10, LEASE)
                same(line.attempts, attempts, "line.attempts")
                check(
                    await lot.put_off(line, NOW, "again"),
                    "expected lot.put_off(line, NOW, 'again')",
                )

            (line,) = await lot.take(10, LEASE)
            (head, _) = await lot.first(line, 10)
            await s.ledger.finish([end(1, head.ticket)])
            await lot.give_back(line)

            (line,) = await lot.take(10, LEASE)
            same(line.attempts, 0, "line.attempts")

    async def test_a_held_line_waits_until_it_is_let_go_on(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(1), (), NOW)
            (line,) = await lot.take(10, LEASE)
            await lot.put_off(line, None, "no more")

            same(await lot.take(10, LEASE), [], "lot.take(10, LEASE)")
            check(await lot.next_due() is None, "expected lot.next_due() is None")
            same(await lot.revive([B]), 0, "lot.revive([B])")
            same(await lot.revive(), 1, "lot.revive()")
            (line,) = await lot.take(10, LEASE)
            same(line.attempts, 0, "line.attempts")

    async def test_a_line_that_is_given_up_stays_so_for_whoever_goes_on_with_it(
        self, setup: StoreSetup
    ) -> None:
        """Who gave it up may die in the midst of it: what is behind must not be handled then."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            await lot.park(parking(1), [parking(2)], NOW)
            await lot.park(parking(3, B), (), NOW)
            (stale, other) = sorted(await lot.take(10, NOW), key=lambda line: line.line == B)
            (line, _) = sorted(await lot.take(10, NOW), key=lambda line: line.line == B)
            (head, _) = await lot.first(line, 10)

            check(not await lot.doom(stale), "expected not lot.doom(stale)")
            check(await lot.doom(line), "expected lot.doom(line)")
            await s.ledger.finish([end(1, head.ticket)])
            taken = {each.line: each for each in await lot.take(10, LEASE)}
            await lot.put_off(taken[A], NOW, "its handler has gone")
            (again,) = await lot.take(10, LEASE)

            same((taken[A].doomed, taken[B].doomed), (True, False), "doomed")
            same((taken[A].released, other.doomed), (False, False), "released, doomed")
            check(not again.doomed, "expected not again.doomed")

    async def test_an_operator_is_shown_a_key_that_is_an_attribute_alone(
        self, setup: StoreSetup
    ) -> None:
        """As it is on MQTT, whose messages have no keys."""
        async with shelf(setup) as s:
            bare = replace(delivery(1), key=None, headers=[("partitionkey", b"a")])
            await s.ledger.order.lot.park(replace(parking(1), delivery=bare), [], NOW)

            (shown,) = await s.ledger.order.lot.lines(10)

            same(shown.key, b"a", "shown.key")

    async def test_a_numbered_stream_moves_with_what_is_parked(self, setup: StoreSetup) -> None:
        """R3: from here on the line keeps the order, whoever asks for the stream's position."""
        async with shelf(setup) as s:
            order = s.ledger.order

            def advance(expected: int, following: int) -> Advance:
                return Advance(
                    handler=0, source="s", stream="a", epoch=0, expected=expected, next=following
                )

            check(
                await order.lot.park(parking(1, advance=advance(0, 2)), (), NOW),
                "expected order.lot.park(parking(1, advance=advance(0, 2)), (), NOW)",
            )
            laid = await order.lot.append(
                [parking(2, advance=advance(2, 3)), parking(4, B, advance(9, 10)), parking(3)]
            )

            same(laid, [Laid.LAID, Laid.MOVED, Laid.LAID], "laid")
            same(
                await order.streams.positions([(0, "s", "a")]),
                {(0, "s", "a"): Position(0, 3)},
                "order.streams.positions([(0, 's', 'a')])",
            )
            check(
                not await order.lot.park(parking(5, B, advance(9, 10)), (), NOW),
                "expected not order.lot.park(parking(5, B, advance(9, 10)), (), NOW)",
            )
            same(await order.lot.open([B]), frozenset[bytes](), "order.lot.open([B])")

    async def test_who_lays_and_who_lets_out_at_once_never_lose_nor_overtake(
        self, setup: StoreSetup
    ) -> None:
        """The last event leaves while the next one arrives: it is laid in, or told to go ahead."""
        async with shelf(setup) as s:
            lot = s.ledger.order.lot
            for turn in range(0, 40, 2):
                await lot.park(parking(turn), (), NOW)
                (line,) = await lot.take(10, LEASE)
                (head,) = await lot.first(line, 1)

                (laid,), (left,) = await asyncio.gather(
                    lot.append([parking(turn + 1)]), s.ledger.finish([end(turn, head.ticket)])
                )

                check(left is Verdict.WRITTEN, "expected left is Verdict.WRITTEN")
                waiting = await lot.first(line, 10)
                same(len(waiting), laid is Laid.LAID, "len(waiting)")
                same(await lot.open([A]), {A} if waiting else frozenset[bytes](), "lot.open([A])")
                for parked in waiting:
                    same(
                        await s.ledger.finish([end(turn + 1, parked.ticket)]),
                        [Verdict.WRITTEN],
                        "s.ledger.finish([end(turn + 1, parked.ticket)])",
                    )

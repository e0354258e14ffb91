"""What was emitted lies in the outbox until the broker has it: whole, once and in order."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import count

from choreo.message import Message
from choreo.store.outbox import Emission, Refusal, Row, Settled
from choreo.store.port import End, Verdict
from choreo.testing.contract.bench import check, same
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.shelf import LONG, Shelf, claim, shelf

NOW = timedelta(0)
MANY = 500
_causes = count()


def emission(
    identity: str,
    lane: str = "orders/1",
    *,
    stream: str | None = None,
    delay: timedelta | None = None,
) -> Emission:
    """Make a row with every part of a message."""
    headers = [("ce_id", identity.encode()), ("raw", bytes(range(256))), ("absent", None)]
    message = Message("orders", b"\0" + identity.encode(), lane.encode(), headers, retain=True)
    return Emission(message=message, identity=identity, lane=lane, stream=stream, delay=delay)


async def emit(s: Shelf, *emissions: Emission) -> None:
    """Have the end of one more event emit *emissions*."""
    end = End(claim=claim(f"cause-{next(_causes)}"), emitted=emissions)
    same(list(await s.finish(end)), [Verdict.WRITTEN], "verdict")


async def read(s: Shelf, holder: str = "one") -> Sequence[Row]:
    """Read what *holder* may publish now, as the only relay."""
    await s.ledger.outbox.keep(holder, LONG)
    return await s.ledger.outbox.read(holder, MANY)


async def names(s: Shelf, holder: str = "one") -> list[str]:
    """Tell the ids of what may go out now, in order."""
    return [row.identity for row in await read(s, holder) if not row.blocked]


async def refuse(s: Shelf, row: Row, *, again: timedelta | None, aside: bool = False) -> None:
    """Settle that the broker refused *row*."""
    refusal = Refusal(
        row=row, reason="too large", attempts=row.attempts + 1, again=again, aside=aside
    )
    await s.ledger.outbox.settle("one", Settled(refused=[refusal]))


class Rows:
    """Rows are written with the end that emits them, and are there until they are accepted."""

    async def test_a_message_comes_out_of_the_outbox_as_it_went_in(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            given, absent, empty = emission("e1"), emission("e2"), emission("e3")
            absent.message.body, absent.message.key = None, None
            empty.message.body, empty.message.key = b"", b""

            await emit(s, given, absent, empty)

            first, *others = await read(s)
            sent, came = given.message, first.message
            same(list(came.headers), list(sent.headers), "headers")
            same((came.topic, came.body, came.key), (sent.topic, sent.body, sent.key), "message")
            check(came.retain, "retain was lost")
            told = [(row.message.body, row.message.key) for row in others]
            same(told, [(None, None), (b"", b"")], "what is absent, and what is empty")

    async def test_rows_of_an_end_that_is_not_written_are_not_there(
        self, setup: StoreSetup
    ) -> None:
        """Trap O11."""
        async with shelf(setup) as s:
            await s.finish(End(claim=claim("same"), emitted=[emission("e1")]))

            verdicts = await s.finish(
                End(claim=claim("same"), emitted=[emission("e2")]),
                End(claim=claim("same"), emitted=[emission("e3", delay=LONG)]),
            )

            same(list(verdicts), [Verdict.DUPLICATE] * 2, "verdicts")
            same(await names(s), ["e1"], "rows")
            same(await s.ledger.outbox.fire("one", MANY), None, "timers")

    async def test_rows_of_an_effect_that_is_left_without_its_end_are_not_there(
        self, setup: StoreSetup
    ) -> None:
        """Trap O11."""
        async with shelf(setup) as s:
            wanted = claim("a")
            with suppress(LookupError):
                async with s.ledger.effect(wanted) as effect:
                    await effect.complete(End(claim=wanted, emitted=[emission("e0")]))
                    raise LookupError
            same(await names(s), [], "rows of what was rolled back")

            async with s.ledger.effect(wanted) as effect:
                await effect.complete(End(claim=wanted, emitted=[emission("e1")]))

            same(await names(s), ["e1"], "rows of what was committed")

    async def test_what_is_emitted_again_under_its_id_is_there_once(
        self, setup: StoreSetup
    ) -> None:
        """Trap I9."""
        async with shelf(setup) as s:
            await emit(s, emission("e1", stream="s"), emission("t1", delay=LONG))
            await emit(s, emission("e1", stream="s"), emission("t1", delay=LONG))
            await emit(s, emission("e2", stream="s"))

            rows = await read(s)

            same([(row.identity, row.number) for row in rows], [("e1", 1), ("e2", 2)], "rows")

    async def test_rows_of_a_lane_come_in_the_order_of_their_transactions(
        self, setup: StoreSetup
    ) -> None:
        async with shelf(setup) as s:
            expected = [f"e{number:02}" for number in range(20)]
            for one, two in zip(expected[::2], expected[1::2], strict=True):
                await emit(s, emission(one), emission(two))

            same(await names(s), expected, "rows")

    async def test_what_was_accepted_is_gone_and_nothing_else(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            expected = [f"e{number:03}" for number in range(300)]
            await emit(s, *(emission(name, f"orders/{name}") for name in expected))
            await emit(s, emission("e300"), emission("e301"))

            seen: list[str] = []
            for _ in expected:
                rows = await read(s)
                if len(rows) == 1:
                    break
                seen += [row.identity for row in rows[:-1]]
                lost = await s.ledger.outbox.settle("one", Settled(accepted=rows[:-1]))
                check(not lost, "a shard that is held was told as lost")

            left = await names(s)
            same(sorted(seen + left), [*expected, "e300", "e301"], "rows")
            same((await s.ledger.outbox.backlog("one")).depth, 1, "depth")

    async def test_numbers_of_a_stream_have_no_gaps_and_one_epoch(self, setup: StoreSetup) -> None:
        """Trap R5."""
        async with shelf(setup) as s:
            await emit(s, emission("a1", stream="a"), emission("b1", stream="b"))
            await emit(s, emission("a2", stream="a"), emission("plain"))
            await emit(s, emission("a3", stream="a"))

            rows = {row.identity: row for row in await read(s)}

            told = {name: row.number for name, row in rows.items()}
            same(told, {"a1": 1, "a2": 2, "a3": 3, "b1": 1, "plain": None}, "numbers")
            same(len({rows[name].epoch for name in ("a1", "a2", "a3")}), 1, "epochs")


class Relays:
    """Relays share the shards, and a row that is refused holds up its lane and no other."""

    async def test_a_shard_has_one_holder_and_relays_share_fairly(self, setup: StoreSetup) -> None:
        """Trap O4."""
        async with shelf(setup) as s:
            outbox, other = s.ledger.outbox, (await s.another()).outbox
            alone = await outbox.keep("one", LONG)
            same(dict((await other.keep("two", LONG)).held), {}, "what was free for the second")
            share = await outbox.keep("one", LONG)
            await outbox.release("one", share.surplus)

            second = await other.keep("two", LONG)
            first = await outbox.keep("one", LONG)

            check(len(alone.held) > 1, "a relay that is alone does not hold all shards")
            both = len(first.held) + len(second.held)
            same(both, len(alone.held), "shards held in all")
            same(set(first.held) & set(second.held), set[int](), "shards with two holders")
            check(abs(len(first.held) - len(second.held)) <= 1, "they do not share fairly")
            same((first.relays, second.relays), (2, 2), "relays")

    async def test_a_relay_that_leaves_hands_over_at_once(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            before = await s.ledger.outbox.keep("one", LONG)
            await s.ledger.outbox.leave("one")

            after = await s.ledger.outbox.keep("two", LONG)

            same(set(after.held), set(before.held), "shards")
            same(after.relays, 1, "relays")
            grown = all(after.held[shard] > fence for shard, fence in before.held.items())
            check(grown, "fences do not grow with a change of hands")

    async def test_a_relay_whose_lease_ran_out_writes_nothing_any_more(
        self, setup: StoreSetup
    ) -> None:
        """Trap O4."""
        async with shelf(setup) as s:
            await emit(s, emission("e1"))
            await s.ledger.outbox.keep("one", setup.lease)
            rows = await s.ledger.outbox.read("one", MANY)
            await s.lapse()
            await s.ledger.outbox.keep("two", LONG)

            lost = await s.ledger.outbox.settle("one", Settled(accepted=rows))

            same(set(lost), {row.shard for row in rows}, "shards told as lost")
            same([row.identity for row in await s.ledger.outbox.read("two", MANY)], ["e1"], "rows")
            same(list(await s.ledger.outbox.read("one", MANY)), [], "rows of the first")

    async def test_behind_a_refused_row_its_lane_waits_and_no_other(
        self, setup: StoreSetup
    ) -> None:
        """Traps O5 and P6."""
        async with shelf(setup) as s:
            await emit(s, emission("e1"), emission("e2"), emission("other", "orders/2"))
            rows = await read(s)
            await refuse(s, rows[0], again=LONG)
            await emit(s, emission("e3"))

            later = {row.identity: row.blocked for row in await read(s)}

            same(later, {"e2": True, "e3": True, "other": False}, "whether rows are blocked")

    async def test_a_lane_that_waited_goes_on_in_order(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await emit(s, emission("e1"), emission("e2"), emission("e3"))
            rows = await read(s)
            await refuse(s, rows[0], again=NOW)
            await s.ledger.outbox.settle("one", Settled(behind=rows[1:]))

            again = await read(s)

            told = [(row.identity, row.waiting, row.attempts) for row in again]
            same(told, [("e1", True, 1), ("e2", True, 0), ("e3", True, 0)], "rows")
            await s.ledger.outbox.settle("one", Settled(accepted=again))
            await emit(s, emission("e4"))
            told_later = [(row.identity, row.blocked) for row in await read(s)]
            same(told_later, [("e4", False)], "when none of them waits any more")

    async def test_a_row_set_aside_blocks_nobody_and_is_counted(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await emit(s, emission("e1"), emission("e2"), emission("x", "orders/2"))
            first, _, held = await read(s)
            await refuse(s, first, again=None, aside=True)
            await refuse(s, held, again=None)

            backlog = await s.ledger.outbox.backlog("one")

            same(await names(s), ["e2"], "rows")
            told = (backlog.depth, backlog.quarantined, backlog.waiting)
            same(told, (2, 2, 1), "depth, rows quarantined, lanes that wait")
            check(backlog.oldest is not None and backlog.oldest >= NOW, "nothing is the oldest")


class Timers:
    """A timer becomes a row when it is due: never early, and once."""

    async def test_a_timer_is_no_row_before_it_is_due(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            delay = setup.lease * 5  # longer than the calls before it is looked at
            await emit(s, emission("t1", stream="s", delay=delay))
            await emit(s, emission("e1", stream="s"))
            await read(s)

            left = await s.ledger.outbox.fire("one", MANY)

            check(left is not None and NOW < left <= delay * 2, f"it is due in {left}")
            same(await names(s), ["e1"], "rows before")
            await setup.pass_time(delay * 1.5)
            await s.ledger.outbox.fire("one", MANY)
            rows = [(row.identity, row.number) for row in await read(s)]
            same(rows, [("e1", 1), ("t1", 2)], "rows after, numbered as they came to be")
            same(await s.ledger.outbox.fire("one", MANY), None, "timers left")

    async def test_of_two_timers_the_one_due_first_is_fired_first(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            short, middle = setup.lease / 4, setup.lease / 2
            await emit(
                s,
                emission("late", delay=setup.lease),
                emission("soon", delay=short),
                emission("middle", delay=middle),
            )
            await read(s)
            await s.lapse()

            while await s.ledger.outbox.fire("one", 1) == NOW:
                pass

            same(await names(s), ["soon", "middle", "late"], "rows")

    async def test_a_relay_fires_only_what_is_in_its_shards(self, setup: StoreSetup) -> None:
        async with shelf(setup) as s:
            await emit(s, emission("t1", delay=timedelta(microseconds=1)))
            await s.ledger.outbox.keep("one", LONG)
            await s.ledger.outbox.keep("two", LONG)
            await setup.pass_time(timedelta(milliseconds=5))

            same(await s.ledger.outbox.fire("two", MANY), None, "timers of who holds nothing")
            await s.ledger.outbox.fire("one", MANY)

            same([row.identity for row in await s.ledger.outbox.read("one", MANY)], ["t1"], "rows")

"""What every store's outbox promises, in memory, SQLite and PostgreSQL."""

from datetime import timedelta

from choreo.message import Message
from choreo.store.outbox import Settled
from choreo.store.port import Verdict
from choreo.store.shards import SHARDS
from tests.outbox.emitting import LEASE, Place, emission, ended


async def test_a_message_comes_out_as_it_went_in(place: Place) -> None:
    given = emission("e1")
    bare = Message("orders", None)
    await place.emit(given, emission("e2"))

    first, second = await place.read()

    assert list(first.message.headers) == list(given.message.headers)
    assert (first.message.topic, first.message.body) == ("orders", b"\0e1")
    assert (first.message.key, first.message.retain) == (b"orders/1", True)
    assert (second.identity, bare.body) == ("e2", None)


async def test_an_absent_body_and_an_empty_one_are_two(place: Place) -> None:
    one, two = emission("e1"), emission("e2")
    one.message.body, one.message.key, two.message.body, two.message.key = None, None, b"", b""
    await place.emit(one, two)

    rows = await place.read()

    assert [(row.message.body, row.message.key) for row in rows] == [(None, None), (b"", b"")]


async def test_rows_of_an_end_that_is_not_written_are_not_there(place: Place) -> None:
    """O11: rows are of the transaction that writes the end."""
    await place.ledger.finish([ended(emission("e1"), cause="same")])

    verdicts = await place.ledger.finish([ended(emission("e2"), cause="same")])

    assert verdicts == [Verdict.DUPLICATE]
    assert await place.names() == ["e1"]


async def test_the_same_id_is_stored_once(place: Place) -> None:
    """I9: what is emitted again under its derived id is the same event."""
    await place.emit(emission("e1"))
    await place.emit(emission("e1"), emission("e2"))

    assert await place.names() == ["e1", "e2"]


async def test_rows_of_a_lane_come_in_the_order_of_their_transactions(place: Place) -> None:
    expected = [f"e{number:02}" for number in range(20)]
    for one, two in zip(expected[::2], expected[1::2], strict=True):
        await place.emit(emission(one), emission(two))

    assert await place.names() == expected


async def test_many_rows_go_in_and_out_in_one_piece(place: Place) -> None:
    expected = [f"e{number:04}" for number in range(600)]
    await place.emit(*(emission(name, lane=f"orders/{name}") for name in expected))

    seen: list[str] = []
    while rows := await place.read():
        seen += [row.identity for row in rows]
        assert not await place.outbox.settle("one", Settled(accepted=rows))

    assert sorted(seen) == expected


async def test_what_was_accepted_is_gone(place: Place) -> None:
    await place.emit(emission("e1"), emission("e2"))
    first, _ = await place.read()

    lost = await place.outbox.settle("one", Settled(accepted=[first]))

    assert not lost
    assert await place.names() == ["e2"]
    assert (await place.outbox.backlog("one")).depth == 1


async def test_numbers_of_a_stream_have_no_gaps_and_one_epoch(place: Place) -> None:
    """R5: the number is given in the transaction that emits."""
    await place.emit(emission("e1", stream="orders/1"), emission("x", stream="orders/2"))
    await place.emit(emission("e2", stream="orders/1"), emission("plain"))
    await place.emit(emission("e3", stream="orders/1"))

    rows = {row.identity: row for row in await place.read()}

    assert [rows[name].number for name in ("e1", "e2", "e3", "x", "plain")] == [1, 2, 3, 1, None]
    assert len({rows[name].epoch for name in ("e1", "e2", "e3")}) == 1


async def test_an_event_that_is_there_already_takes_no_number(place: Place) -> None:
    await place.emit(emission("e1", stream="s"))
    await place.emit(emission("e1", stream="s"), emission("e2", stream="s"))
    await place.emit(emission("e3", stream="s"))

    assert [row.number for row in await place.read()] == [1, 2, 3]


async def test_relays_share_the_shards_fairly(place: Place) -> None:
    """O4: one holder a shard; a new relay gets its share when the others have given it back."""
    alone = await place.outbox.keep("one", LEASE)
    nothing = await place.outbox.keep("two", LEASE)
    share = await place.outbox.keep("one", LEASE)
    await place.outbox.release("one", share.surplus)
    second = await place.outbox.keep("two", LEASE)
    first = await place.outbox.keep("one", LEASE)

    assert len(alone.held) == SHARDS
    assert not nothing.held
    assert len(share.surplus) == SHARDS // 2
    assert len(first.held) == len(second.held) == SHARDS // 2
    assert not first.held.keys() & second.held.keys()
    assert (first.relays, second.relays) == (2, 2)


async def test_a_relay_that_leaves_hands_over_at_once(place: Place) -> None:
    before = await place.outbox.keep("one", LEASE)
    await place.outbox.leave("one")

    after = await place.outbox.keep("two", LEASE)

    assert after.held.keys() == before.held.keys()
    assert after.relays == 1
    assert all(after.held[shard] > fence for shard, fence in before.held.items())


async def test_a_lease_that_ran_out_is_taken_over_and_its_holder_fenced(place: Place) -> None:
    """O4: what the first one settles afterwards changes nothing."""
    await place.emit(emission("e1"))
    await place.outbox.keep("one", timedelta(0))
    rows = await place.outbox.read("one", 500)
    await place.outbox.keep("two", LEASE)

    lost = await place.outbox.settle("one", Settled(accepted=rows))

    assert lost == {rows[0].shard}
    assert [row.identity for row in await place.outbox.read("two", 500)] == ["e1"]
    assert not await place.outbox.read("one", 500)


async def test_behind_a_refused_row_its_lane_waits_and_no_other(place: Place) -> None:
    """O5, P6."""
    await place.emit(emission("e1"), emission("e2"), emission("other", lane="orders/2"))
    rows = await place.read()
    await place.refuse(rows[0], again=timedelta(hours=1))
    await place.emit(emission("e3"))

    later = await place.read()

    assert {row.identity: row.blocked for row in later} == {"e2": True, "e3": True, "other": False}


async def test_what_waits_is_not_read_again_and_joins_in_order(place: Place) -> None:
    await place.emit(emission("e1"), emission("e2"), emission("e3"))
    rows = await place.read()
    await place.refuse(rows[0], again=timedelta(0))
    await place.outbox.settle("one", Settled(behind=rows[1:]))

    again = await place.read()

    assert [(row.identity, row.waiting, row.attempts) for row in again] == [
        ("e1", True, 1),
        ("e2", True, 0),
        ("e3", True, 0),
    ]


async def test_a_lane_goes_on_when_none_of_its_rows_waits(place: Place) -> None:
    await place.emit(emission("e1"))
    (row,) = await place.read()
    await place.refuse(row, again=timedelta(0))
    await place.outbox.settle("one", Settled(accepted=await place.read()))
    await place.emit(emission("e2"))

    assert [(row.identity, row.blocked) for row in await place.read()] == [("e2", False)]


async def test_a_row_set_aside_blocks_nobody(place: Place) -> None:
    await place.emit(emission("e1"), emission("e2"))
    first, _ = await place.read()
    await place.refuse(first, aside=True)

    assert await place.names() == ["e2"]
    backlog = await place.outbox.backlog("one")
    assert (backlog.depth, backlog.quarantined, backlog.waiting) == (1, 1, 0)


async def test_the_backlog_tells_who_waits_for_an_operator(place: Place) -> None:
    await place.emit(emission("e1"), emission("e2"), emission("other", lane="orders/2"))
    rows = await place.read()
    await place.refuse(rows[0])
    await place.outbox.settle("one", Settled(behind=rows[1:2]))

    backlog = await place.outbox.backlog("one")

    assert (backlog.depth, backlog.quarantined, backlog.waiting) == (3, 1, 1)
    assert backlog.oldest is not None
    assert timedelta(0) <= backlog.oldest < timedelta(minutes=1)

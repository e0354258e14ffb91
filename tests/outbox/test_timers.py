"""Events that are published later: kept with all others, fired on time and never before."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from random import Random

from choreo.store.outbox import Emission, Settled
from choreo.store.port import Verdict
from choreo.store.shards import SHARDS
from tests.outbox.emitting import LEASE, Place, emission, ended

HOUR = timedelta(hours=1)
MANY = 500


def later(
    identity: str, delay: float, lane: str = "orders/1", stream: str | None = None
) -> Emission:
    """Make an emission that waits *delay* seconds."""
    return replace(emission(identity, lane, stream), delay=timedelta(seconds=delay))


async def fire(place: Place, holder: str = "one") -> None:
    """Fire one timer after the other until only those are left that are not due for long."""
    await place.outbox.keep(holder, LEASE)
    left = await place.outbox.fire(holder, MANY)
    while left is not None and left < timedelta(minutes=1):
        await asyncio.sleep(left.total_seconds())
        left = await place.outbox.fire(holder, MANY)


async def test_a_timer_is_not_among_the_rows_and_tells_when_it_is_due(place: Place) -> None:
    await place.emit(later("t1", 3600), emission("e1"))
    rows = await place.names()

    left = await place.outbox.fire("one", MANY)

    assert rows == await place.names() == ["e1"]
    assert left is not None
    assert timedelta(minutes=59) < left <= HOUR + timedelta(milliseconds=2)


async def test_without_timers_there_is_nothing_to_wait_for(place: Place) -> None:
    await place.emit(emission("e1"))
    await place.read()

    assert await place.outbox.fire("one", MANY) is None


async def test_a_fired_timer_is_a_row_like_any_other(place: Place) -> None:
    given = later("t1", 0.02)
    await place.emit(given)

    await fire(place)

    (row,) = await place.read()
    assert list(row.message.headers) == list(given.message.headers)
    assert (row.message.topic, row.message.body) == ("orders", b"\0t1")
    assert (row.message.key, row.message.retain) == (b"orders/1", True)
    assert not await place.outbox.settle("one", Settled(accepted=[row]))
    assert await place.outbox.fire("one", MANY) is None
    assert await place.names() == []


async def test_timers_of_an_end_that_is_not_written_are_not_there(place: Place) -> None:
    """S1: a timer is of the transaction that writes the end."""
    await place.ledger.finish([ended(cause="same")])

    verdicts = await place.ledger.finish([ended(later("t1", 0.01), cause="same")])

    await place.read()
    assert verdicts == [Verdict.DUPLICATE]
    assert await place.outbox.fire("one", MANY) is None


async def test_what_is_emitted_again_under_its_id_makes_one_timer(place: Place) -> None:
    """S2, I9: ids are derived; the first one's moment holds."""
    await place.emit(later("t1", 0.02))
    await place.emit(later("t1", 3600), emission("e1"))

    await fire(place)

    assert await place.names() == ["e1", "t1"]
    assert await place.outbox.fire("one", MANY) is None


async def test_a_timer_is_never_early(place: Place) -> None:
    """However the databases clock rounds, and whatever the delay."""
    random = Random(7)
    await place.outbox.keep("one", LEASE)

    for number in range(20):
        delay = timedelta(milliseconds=random.uniform(1, 15))
        before = time.time()
        await place.emit(replace(emission(f"t{number}"), delay=delay))
        await fire(place)
        assert time.time() - before >= delay.total_seconds()


async def test_of_two_timers_of_one_key_the_one_due_first_goes_first(place: Place) -> None:
    await place.emit(later("late", 0.3), later("soon", 0.1), later("middle", 0.2), emission("now"))

    await fire(place)

    assert await place.names() == ["now", "soon", "middle", "late"]


async def test_overdue_timers_are_fired_in_the_order_in_which_they_were_due(place: Place) -> None:
    names = [f"t{number:03}" for number in range(50)]
    shuffled = Random(3).sample(list(enumerate(names)), len(names))
    await place.emit(*(later(name, 0.01 + at / 100, f"l/{name}") for at, name in shuffled))
    await place.emit(later("last", 0.6))

    await place.outbox.keep("one", LEASE)
    await asyncio.sleep(0.7)
    while await place.outbox.fire("one", 16) == timedelta(0):
        pass

    assert await place.names() == [*names, "last"]


async def test_a_timer_takes_its_number_when_it_is_due(place: Place) -> None:
    """R5: whoever reads the numbers must not wait for a timer."""
    await place.emit(later("t1", 0.02, stream="s"), emission("e1", stream="s"))
    await place.emit(emission("e2", stream="s"))

    await fire(place)

    rows = await place.read()
    assert [(row.identity, row.number) for row in rows] == [("e1", 1), ("e2", 2), ("t1", 3)]


async def test_two_relays_fire_each_timer_once(place: Place) -> None:
    """S2: they reach for the same ones when shards change hands in between."""
    names = [f"t{number:02}" for number in range(60)]
    await place.emit(*(later(name, 0.01, f"lane/{name}", stream="s") for name in names))
    await fire(place, "none")
    await place.emit(*(later(f"u{name}", 0.01, f"lane/{name}", stream="s") for name in names))
    await asyncio.sleep(0.02)

    await asyncio.gather(*(place.outbox.fire("none", MANY) for _ in range(4)))

    await place.outbox.leave("none")
    seen: list[tuple[str, int | None]] = []
    while rows := await place.read():
        seen += [(row.identity, row.number) for row in rows]
        await place.outbox.settle("one", Settled(accepted=rows))
    assert len({name for name, _ in seen}) == len(seen) == 120
    assert sorted(number or 0 for _, number in seen) == list(range(1, 121))


async def test_a_relay_fires_what_is_in_its_own_shards(place: Place) -> None:
    await place.outbox.keep("one", LEASE)
    await place.outbox.keep("two", LEASE)
    share = await place.outbox.keep("one", LEASE)
    await place.outbox.release("one", share.surplus)
    await place.outbox.keep("two", LEASE)
    await place.emit(*(later(f"t{number}", 0.01, f"lane/{number}") for number in range(200)))

    await fire(place, "one")

    count = len(await place.outbox.read("one", SHARDS * 200))
    assert 0 < count < 200
    await fire(place, "two")
    assert count + len(await place.outbox.read("two", SHARDS * 200)) == 200


async def test_the_backlog_is_as_old_as_what_is_due(place: Place) -> None:
    """S4: an overdue timer that nobody fires is seen; one that waits is no backlog."""
    await place.emit(later("t1", 3600))
    await place.read()
    waiting = await place.outbox.backlog("one")

    await place.emit(later("t2", 0.01))
    await asyncio.sleep(0.1)
    overdue = await place.outbox.backlog("one")

    assert waiting.oldest is None
    assert overdue.oldest is not None
    assert timedelta(seconds=0.05) < overdue.oldest < timedelta(minutes=1)

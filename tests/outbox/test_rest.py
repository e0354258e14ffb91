"""A relay rests while rows keep coming, and never where somebody would wait for it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from choreo.delivery.rest import LONGEST, TIMES, Rest
from choreo.message import Message
from choreo.store.outbox import Row
from choreo.store.shards import PER_SHARD
from choreo.testing.clock import ManualClock


def _rows(count: int, shard: int = 0) -> Sequence[Row]:
    message = Message("orders", b"", None, [])
    return [
        Row(
            id=number,
            shard=shard,
            lane=b"lane",
            identity=str(number),
            message=message,
            created=datetime.now(UTC),
        )
        for number in range(count)
    ]


class Turns:
    """One relay's rest, and a store that takes its time."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.rest = Rest(self.clock, batch=500)

    async def turn(self, seconds: float, rows: Sequence[Row]) -> asyncio.Task[None]:
        """Take a turn in which the store takes *seconds*, and begin to rest."""

        async def work() -> None:
            await self.clock.sleep(seconds)

        working = asyncio.create_task(self.rest.timed(work()))
        await self.clock.advance(seconds)
        await working
        resting = asyncio.create_task(self.rest.take(rows))
        await self.clock.advance(0.0)
        return resting


@pytest.fixture
def turns() -> Turns:
    return Turns()


async def test_it_rests_for_some_times_as_long_as_the_store_was_at_it(turns: Turns) -> None:
    resting = await turns.turn(0.01, _rows(3))

    await turns.clock.advance(TIMES * 0.01 - 0.001)
    before = resting.done()
    await turns.clock.advance(0.002)

    assert (before, resting.done()) == (False, True)


async def test_it_rests_no_longer_than_is_hardly_noticed(turns: Turns) -> None:
    resting = await turns.turn(10.0, _rows(3))

    await turns.clock.advance(LONGEST + 0.001)

    assert resting.done()


@pytest.mark.parametrize("rows", [_rows(PER_SHARD), [*_rows(3), *_rows(PER_SHARD, shard=7)]])
async def test_it_goes_on_where_more_may_lie(turns: Turns, rows: Sequence[Row]) -> None:
    resting = await turns.turn(0.01, rows)

    assert resting.done()


async def test_it_goes_on_when_somebody_waits(turns: Turns) -> None:
    resting = await turns.turn(0.01, _rows(3))
    before = resting.done()

    turns.rest.end()
    await turns.clock.advance(0.0)

    assert (before, resting.done()) == (False, True)


async def test_who_began_to_wait_before_the_rest_waits_for_none(turns: Turns) -> None:
    turns.rest.end()

    assert (await turns.turn(0.01, _rows(3))).done()
    assert not (await turns.turn(0.01, _rows(3))).done()

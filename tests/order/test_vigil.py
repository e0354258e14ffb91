"""A number that is at work does not let the patience of those run out that wait for it."""

import asyncio
from datetime import timedelta
from itertools import pairwise, permutations

import pytest

from choreo import Gaps, Service
from choreo.delivery.vigil import MOMENT, PARTS, Vigil
from choreo.store.streams import Advance, StreamKey
from choreo.testing import Harness
from tests.order.events import Reading
from tests.order.plant import SECOND, Plant, send

PATIENT = Gaps(patience=60 * SECOND)
ONE: StreamKey = (0, "source", "one")
OTHER: StreamKey = (0, "source", "other")
PATIENCE = 4.0
PART = PATIENCE / PARTS


def begun(*items: int) -> Vigil[int]:
    vigil: Vigil[int] = Vigil()
    for item in items:
        vigil.begun(ONE, item, PATIENCE, 0.0)
    return vigil


def test_nobody_is_told_of_what_has_just_begun() -> None:
    vigil = begun(1)

    assert vigil.due(MOMENT - 0.01) == []
    assert vigil.next_due == MOMENT


def test_others_are_told_as_soon_as_a_number_is_at_work_for_longer_than_a_moment() -> None:
    """It may have come at the last moment of their patience."""
    assert [told.item for told in begun(1).due(MOMENT)] == [1]


def test_others_are_told_again_and_again_before_patience_is_over() -> None:
    vigil, told = begun(1), list[float]()
    for tick in range(400):
        now = tick * 0.1
        if vigil.due(now):
            told.append(now)

    gaps = [later - before for before, later in zip([0.0, *told], told, strict=False)]
    assert len(told) > 30
    assert max(gaps) < PATIENCE / 2


def test_quick_numbers_one_after_the_other_tell_nobody() -> None:
    vigil: Vigil[int] = Vigil()
    for number in range(99):
        now = number * MOMENT / 2
        vigil.begun(ONE, number, PATIENCE, now)
        assert vigil.due(now + MOMENT / 3) == []
        vigil.ended(ONE, number)


def test_a_long_lane_that_goes_on_tells_in_each_part_of_the_patience() -> None:
    """Its last number came long ago, and others wait for that."""
    vigil, told = begun(*range(100)), list[float]()
    for number in range(99):
        now = number * PART / 2
        told += [now] * len(vigil.due(now))
        vigil.ended(ONE, number)

    gaps = [later - before for before, later in pairwise(told)]
    assert max(gaps) <= PART


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_the_first_that_is_left_is_told_of_in_whatever_order_the_others_end(
    order: tuple[int, ...],
) -> None:
    vigil, left, now = begun(1, 2, 3), [1, 2, 3], 0.0

    for item in order:
        now += PATIENCE
        assert [told.item for told in vigil.due(now)] == [left[0]]
        vigil.ended(ONE, item)
        left.remove(item)

    assert vigil.next_due is None


def test_what_ends_behind_the_first_does_not_put_off_that_others_are_told() -> None:
    vigil = begun(1, 2)

    vigil.ended(ONE, 2)

    assert [told.item for told in vigil.due(MOMENT)] == [1]


def test_streams_are_told_of_each_for_itself() -> None:
    vigil = begun(1)
    vigil.begun(OTHER, 7, 10 * PATIENCE, 0.0)

    assert [told.patience for told in vigil.due(MOMENT)] == [PATIENCE, 10 * PATIENCE]
    assert [told.stream for told in vigil.due(MOMENT + PART)] == [ONE]
    assert [told.stream for told in vigil.due(MOMENT + 10 * PART)] == [ONE, OTHER]


def test_what_ends_twice_or_never_began_is_nobodys() -> None:
    vigil = begun(1)

    vigil.ended(OTHER, 1)
    vigil.ended(ONE, 9)
    vigil.ended(ONE, 1)
    vigil.ended(ONE, 1)

    assert vigil.due(PATIENCE) == []


class Gated(Plant):
    """A plant that is at work on number 2 until it may end it."""

    def __init__(self) -> None:
        super().__init__(PATIENT)
        self.entered, self.gate = asyncio.Event(), asyncio.Event()
        self.service = Service("plant", store=self.store, outage_keys=0)
        self.service.on(Reading, id="read", gaps=PATIENT, deadline=timedelta(days=1))(self.read)

    async def read(self, event: Reading) -> None:
        """Note what came."""
        if event.number == 2:
            self.entered.set()
            await self.gate.wait()
        await super().read(event)

    async def at_work(self, world: Harness) -> None:
        """Have number 3 wait in the store, and number 2 be at work."""
        await send(world, 1, 3)
        await world.advance(SECOND)
        await send(world, 2)
        await self.entered.wait()


async def test_while_a_number_is_at_work_nobody_takes_what_waits_for_it_as_overdue() -> None:
    plant = Gated()

    async with plant.life() as world:
        await plant.at_work(world)
        for _ in range(100):
            await plant.clock.advance(PATIENT.patience.total_seconds() / 10)
            (line,) = await plant.waiting()
            assert line.due is not None
            assert line.due > plant.clock.now()
        plant.gate.set()
        await world.settle()

    assert plant.seen == [1, 2, 3]


async def test_a_number_that_comes_in_the_last_second_of_the_patience_of_others_is_in_time() -> (
    None
):
    """Whoever else looks at the line when it is due must not take it for missing.

    Another stream is at work for long, of which others have been told not long ago.
    """
    plant = Gated()

    async with plant.life() as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        (line,) = await plant.waiting()
        assert line.due is not None
        await plant.clock.advance(PATIENT.patience.total_seconds() / PARTS / 2)
        await send(world, 1, 2, sensor="b")
        await plant.entered.wait()
        plant.entered.clear()
        await plant.clock.advance((line.due - plant.clock.now()).total_seconds() - 1)
        await send(world, 2)
        await plant.entered.wait()
        await plant.clock.advance(1)
        (line,) = await plant.waiting()
        assert line.due is not None
        assert line.due > plant.clock.now() + 0.9 * PATIENT.patience
        plant.gate.set()
        await world.settle()

    assert plant.seen == [1, 1, 2, 2, 3]


async def test_once_its_owner_is_gone_patience_runs_out() -> None:
    plant = Gated()

    async with plant.life() as world:
        await plant.at_work(world)
        await plant.clock.advance(3 * PATIENT.patience.total_seconds())
        worker = world.running(plant.service).worker
        assert worker is not None
        worker.abort()
    lot = await plant.lot()
    assert await lot.take(1, SECOND) == []
    await plant.clock.advance(PATIENT.patience.total_seconds())

    assert len(await lot.take(1, SECOND)) == 1


async def test_who_is_at_a_number_that_its_stream_has_passed_puts_nothing_off() -> None:
    """Another one was at it, too, and has the stream by now."""
    plant = Gated()

    async with plant.life() as world:
        await plant.at_work(world)
        (before,) = await plant.waiting()
        step = Advance(
            handler=0, source="urn:choreo:harness", stream="a", epoch=0, expected=2, next=3
        )
        moved = await (await plant.order()).streams.move([step])
        await plant.clock.advance(PATIENT.patience.total_seconds() - 2)
        (after,) = await plant.waiting()
        plant.gate.set()

    assert moved == [True]
    assert after.due == before.due

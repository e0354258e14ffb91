"""A number that is at work does not let the patience of those run out that wait for it."""

import asyncio
from datetime import timedelta
from itertools import permutations

import pytest

from choreo import Gaps, Service
from choreo.delivery.vigil import PARTS, Vigil
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

    assert vigil.due(PART - 0.01) == []
    assert vigil.next_due == PART


def test_others_are_told_again_and_again_before_patience_is_over() -> None:
    vigil, told = begun(1), list[float]()
    for tick in range(400):
        now = tick * 0.1
        if vigil.due(now):
            told.append(now)

    gaps = [later - before for before, later in zip([0.0, *told], told, strict=False)]
    assert len(told) > 30
    assert max(gaps) < PATIENCE / 2


def test_a_stream_that_goes_on_tells_nobody() -> None:
    vigil = begun(*range(100))
    for number in range(99):
        vigil.ended(ONE, number, number * PART / 2)
        assert vigil.due(number * PART / 2) == []


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_the_first_that_is_left_is_told_of_in_whatever_order_the_others_end(
    order: tuple[int, ...],
) -> None:
    vigil, left, now = begun(1, 2, 3), [1, 2, 3], 0.0

    for item in order:
        now += PATIENCE
        assert [told.item for told in vigil.due(now)] == [left[0]]
        vigil.ended(ONE, item, now)
        left.remove(item)

    assert vigil.next_due is None


def test_what_ends_behind_the_first_does_not_put_off_that_others_are_told() -> None:
    vigil = begun(1, 2)

    vigil.ended(ONE, 2, PART - 0.01)

    assert [told.item for told in vigil.due(PART)] == [1]


def test_streams_are_told_of_each_for_itself() -> None:
    vigil = begun(1)
    vigil.begun(OTHER, 7, 10 * PATIENCE, 0.0)

    assert [told.stream for told in vigil.due(PART)] == [ONE]
    assert [told.patience for told in vigil.due(10 * PART)] == [PATIENCE, 10 * PATIENCE]


def test_what_ends_twice_or_never_began_is_nobodys() -> None:
    vigil = begun(1)

    vigil.ended(OTHER, 1, 0.0)
    vigil.ended(ONE, 9, 0.0)
    vigil.ended(ONE, 1, 0.0)
    vigil.ended(ONE, 1, 0.0)

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

"""``Gaps(policy="park")``: a stream waits in the store, seen by people, until its number comes."""

import pytest

from choreo import Service
from choreo.errors import ConfigurationError
from choreo.gaps import Gaps
from choreo.reason import Reason
from choreo.testing import Harness
from tests.order.events import Reading
from tests.order.plant import SECOND, Plant, send


@pytest.mark.parametrize("remembers", [True, False])
async def test_a_parked_stream_waits_for_its_number_as_long_as_it_takes(*, remembers: bool) -> None:
    """R1: visible, in order, and holding nothing."""
    plant = Plant(Gaps(policy="park", patience=10 * SECOND), remembers=remembers)

    async with plant.life() as world:
        await send(world, 1, 5, 3)
        await world.advance(11 * SECOND)
        await send(world, 4, 9)
        await world.advance(1_000 * SECOND)
        (line,) = await plant.waiting()
        assert (line.events, line.due, plant.held(world)) == (4, None, 0)
    async with plant.life() as world:
        await world.advance(1_000 * SECOND)
        await send(world, 2)
        await world.advance(SECOND)
        assert plant.seen == [1, 2, 3, 4, 5]
        assert [line.events for line in await plant.waiting()] == [1]
        assert not world.dead_letters


@pytest.mark.parametrize("remembers", [True, False])
async def test_an_operator_lets_a_parked_stream_go_on_past_one_gap(*, remembers: bool) -> None:
    plant = Plant(Gaps(policy="park", patience=SECOND), remembers=remembers)

    async with plant.life() as world:
        await send(world, 3, 4, 6)
        await world.advance(2 * SECOND)
        (line,) = await plant.waiting()
        await (await plant.lot()).revive([line.line])
        await world.advance(10 * SECOND)
        assert plant.seen == [3, 4]
        await send(world, 5, 1)
        await world.advance(SECOND)

        assert [letter.reason for letter in world.dead_letters] == [Reason.SEQUENCE_LATE]
    assert plant.seen == [3, 4, 5, 6]


async def test_more_than_memory_may_hold_waits_in_the_store() -> None:
    """R8: nothing is dead-lettered for want of room."""
    plant = Plant(Gaps(policy="park", events=10, patience=60 * SECOND), remembers=True)

    async with plant.life() as world:
        await send(world, *range(40, 1, -1))
        await world.settle()
        (line,) = await plant.waiting()
        assert line.events == 39
        await send(world, 1)
        await world.advance(SECOND)
        await world.settle()

        assert not world.dead_letters
    assert plant.seen == list(range(1, 41))


async def test_a_parked_stream_needs_a_store() -> None:
    plant = Service("plant")

    @plant.on(Reading, gaps=Gaps(policy="park"))
    async def read(event: Reading) -> None: ...

    with pytest.raises(ConfigurationError, match=r"read.*behind a gap.*store="):
        async with Harness(plant):
            pass

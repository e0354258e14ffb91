"""While its broker is out of reach a service gives up no number: that may lie there."""

from contextlib import AbstractAsyncContextManager

import pytest

from choreo.broker import Notice
from choreo.gaps import Gaps, Policy
from choreo.testing import Harness
from tests.order.plant import SECOND, Plant, send

PATIENCE = 3 * SECOND
GONE = 60.0
LOST = Notice(kind="connection_lost", text="gone")
BACK = Notice(kind="reconnected", text="there again")
ON_BOTH = pytest.mark.parametrize("remembers", [True, False], ids=["remembers", "spools"])


class Remote(Plant):
    """A plant whose broker is told to be out of reach; what is sent meanwhile is sent later."""

    def __init__(self, *, remembers: bool, policy: Policy = "skip") -> None:
        super().__init__(Gaps(policy=policy, patience=PATIENCE), remembers=remembers)

    def hears(self, world: Harness, notice: Notice) -> None:
        worker = world.running(self.service).worker
        assert worker is not None
        worker.notice(notice)


def running(plant: Remote) -> AbstractAsyncContextManager[Harness]:
    return plant.life()


@ON_BOTH
@pytest.mark.parametrize("policy", ["skip", "resend"])
async def test_a_number_that_lay_at_a_broker_out_of_reach_is_not_given_up(
    remembers: bool, policy: Policy
) -> None:
    """It comes in the last moment of what is left of patience."""
    plant = Remote(remembers=remembers, policy=policy)

    async with running(plant) as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        plant.hears(world, LOST)
        await plant.clock.advance(GONE)
        away = list(plant.seen)
        plant.hears(world, BACK)
        await plant.clock.advance(1.9)
        await send(world, 2)
        await world.advance(60 * SECOND)

        assert away == [1]
        assert not world.dead_letters
    assert plant.seen == [1, 2, 3]


@ON_BOTH
async def test_patience_runs_out_once_the_broker_is_within_reach_again(remembers: bool) -> None:
    plant = Remote(remembers=remembers)

    async with running(plant) as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        plant.hears(world, LOST)
        await plant.clock.advance(GONE)
        plant.hears(world, BACK)
        await world.advance(40 * SECOND)

    assert plant.seen == [1, 3]


@ON_BOTH
async def test_a_broker_that_is_lost_again_and_again_does_not_keep_a_stream_for_ever(
    remembers: bool,
) -> None:
    plant = Remote(remembers=remembers)

    async with running(plant) as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        for _ in range(20):
            plant.hears(world, LOST)
            await plant.clock.advance(1.0)
            plant.hears(world, BACK)
            await plant.clock.advance(3.0)

    assert plant.seen == [1, 3]


@ON_BOTH
async def test_what_comes_in_order_is_handled_while_the_broker_is_lost(remembers: bool) -> None:
    """What had come before the loss is not held up by it."""
    plant = Remote(remembers=remembers)

    async with running(plant) as world:
        plant.hears(world, LOST)
        await send(world, 1, 2)
        await world.settle()

    assert plant.seen == [1, 2]

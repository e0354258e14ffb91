"""What came back for its number and is laid behind a parked event: nobody waits for it for ever."""

import asyncio

import pytest

from choreo.delivery.job import Outcome
from choreo.gaps import Gaps
from choreo.park import Park
from tests.order.events import Reading
from tests.order.plant import SECOND, Plant, send


class Gated(Plant):
    """A plant whose second reading fails once somebody has looked."""

    def __init__(self) -> None:
        park = Park(attempts=5, initial=10 * SECOND, jitter=0)
        super().__init__(Gaps(policy="wait", patience=60 * SECOND), park=park)
        self.entered, self.gate = asyncio.Event(), asyncio.Event()

    async def read(self, event: Reading) -> None:
        """Note what came, but for the first that is number 2."""
        if event.number == 2 and not self.gate.is_set():
            self.entered.set()
            await self.gate.wait()
            raise OSError
        await super().read(event)


@pytest.mark.timeout(30)
async def test_who_brought_it_back_goes_on_and_a_stop_does_not_wait_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its line's worker would be lost else, of which a process has sixteen."""
    plant = Gated()

    async with plant.life() as world:
        worker = world.running(plant.service).worker
        assert worker is not None
        await send(world, 1, 3)
        await world.advance(SECOND)
        await send(world, 2)
        await plant.entered.wait()
        await send(world, 2)  # another event with the same number: it follows the first
        while worker._lanes.queued < 1:
            await asyncio.sleep(0)
        await (await plant.lot()).call()
        await plant.clock.advance(2.0)
        while worker._lanes.queued < 2:  # and behind that what came back
            await asyncio.sleep(0)

        plant.gate.set()
        await world.settle()
        assert [line.events for line in await plant.waiting()] == [
            2
        ]  # the second of number 2 is late

    assert plant.seen == [1]
    assert "stopping took longer" not in caplog.text


async def test_what_came_back_too_soon_goes_back_and_is_not_held_in_memory() -> None:
    """Its line was laid by another process, and its stream was judged anew on the way."""
    plant = Plant(Gaps(policy="wait", patience=60 * SECOND))
    async with plant.life() as world:
        await send(world, 3)
        await world.advance(SECOND)

    async with plant.life() as world:
        worker = world.running(plant.service).worker
        assert worker is not None
        lot = await plant.lot()
        await lot.call()
        (line,) = await lot.take(1, 60 * SECOND)
        async with worker._recovery._returns.read(await lot.first(line, 1), line) as (job,):
            assert job is not None
            assert job.parked is not None
            ordering = worker._ordering
            await ordering.learn((job,))
            assert job.order is not None
            ordering._opened(job, job.order)
            worker._custody.take(job.received)
            assert ordering.spool is not None
            ordering.spool.closed(job.order.stream)

            ordering.take(ordering._offer(job, job.order))

            assert job.parked.returned.result() is Outcome.DROPPED
            assert ordering.next_due is None
            await lot.give_back(line)
    assert [one.events for one in await plant.waiting()] == [1]


@pytest.mark.timeout(30)
async def test_what_is_to_be_judged_anew_is_not_laid_behind_a_parked_event() -> None:
    """Its number may not have come: it would be handled before those that are still missing."""
    plant = Gated()
    async with plant.life() as world:
        worker = world.running(plant.service).worker
        assert worker is not None
        await send(world, 1)
        await send(world, 2)
        await plant.entered.wait()
        await send(world, 2)  # another event with the same number: it follows the first
        await send(world, 4)
        while worker.held < 3:
            await asyncio.sleep(0)
        (stream,) = worker._ordering._sequencer._streams
        worker._ordering.doubt(stream)  # as when the store says that it has gone on elsewhere
        assert worker._lanes.queued == 2

        plant.gate.set()
        await world.advance(SECOND)
        await send(world, 3)
        await world.advance(20 * SECOND)
        await world.settle()

    assert plant.seen == [1, 2, 3, 4]

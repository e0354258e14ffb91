"""While a service can take nothing in, it gives up no number: that may be at the broker, unread."""

import asyncio
from collections.abc import Sequence

import pytest

from choreo import Service
from choreo.errors import StoreError
from choreo.gaps import Gaps
from choreo.store.flights import Incarnation
from choreo.store.memory import MemoryStore
from choreo.store.memory.flights import MemoryFlights
from choreo.store.memory.ledger import MemoryLedger
from choreo.testing import Harness, ManualClock
from tests.order.events import Reading
from tests.order.plant import SECOND, ForgetfulWorld, Plant, send

PATIENCE = 3 * SECOND
ON_BOTH = pytest.mark.parametrize("remembers", [True, False], ids=["remembers", "spools"])
HOWEVER = pytest.mark.parametrize("refusing", [True, False], ids=["refuses", "stalls"])


class Locked(MemoryStore):
    """A store that can be read and, for a while, not written: another holds its lock."""

    durable = True
    refusing = False
    """Whoever writes is told so at once, and does not wait."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.free = asyncio.Event()
        self.free.set()

    async def ledger(self, service: str, handlers: Sequence[str], /) -> MemoryLedger:
        ledger = await super().ledger(service, handlers)
        rows, store = ledger.order.flights._rows, self

        class Log(MemoryFlights):
            async def depart(
                self,
                own: Incarnation,
                flight: int,
                events: Sequence[bytes],
                landed: Sequence[int],
                /,
            ) -> None:
                if not store.free.is_set() and store.refusing:
                    raise StoreError("database is locked")
                await store.free.wait()
                await super().depart(own, flight, events, landed)

        ledger.order.flights = Log(rows, service)
        return ledger


class Fenced(Plant):
    """A plant whose store is locked for a while."""

    def __init__(self, *, remembers: bool, refusing: bool = False) -> None:
        super().__init__(Gaps(patience=PATIENCE), remembers=remembers)
        self.store = self.locked = Locked(self.clock)
        self.locked.refusing = refusing
        self.service = Service("plant", store=self.locked, outage_keys=0)
        self.service.on(Reading, id="read", gaps=Gaps(patience=PATIENCE))(self.read)

    def life(self) -> Harness:
        kind = Harness if self.kind is Harness else ForgetfulWorld
        return kind(self.service, broker=self.url, clock=self.clock)

    async def stall(self, world: Harness, *numbers: int, seconds: float = 10.0) -> None:
        """Lock the store, and send numbers, the first of which has the service wait for it."""
        self.locked.free.clear()
        await send(world, 1, sensor="b")
        await self.clock.advance(0.1)
        await send(world, *numbers)
        await self.clock.advance(seconds - 0.1)
        self.locked.free.set()


@ON_BOTH
@HOWEVER
async def test_a_number_that_came_while_the_store_was_locked_is_not_given_up(
    remembers: bool, refusing: bool
) -> None:
    plant = Fenced(remembers=remembers, refusing=refusing)

    async with plant.life() as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        await plant.stall(world, 2)
        locked = list(plant.seen)
        await world.advance(60 * SECOND)

        assert locked == [1]
        assert not world.dead_letters
    assert sorted(plant.seen) == [1, 1, 2, 3]
    assert plant.seen.index(2) < plant.seen.index(3)


@ON_BOTH
async def test_what_comes_soon_after_a_stall_that_patience_began_before_is_in_time(
    remembers: bool,
) -> None:
    """Of three seconds one was over as the store was locked: two are left when it is not."""
    plant = Fenced(remembers=remembers)

    async with plant.life() as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        await plant.stall(world)
        await plant.clock.advance(1.9)
        await send(world, 2)
        await world.advance(60 * SECOND)

        assert not world.dead_letters
    assert plant.seen.index(2) < plant.seen.index(3)


@ON_BOTH
@HOWEVER
async def test_patience_runs_out_once_the_service_sees_again(
    remembers: bool, refusing: bool
) -> None:
    plant = Fenced(remembers=remembers, refusing=refusing)

    async with plant.life() as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        await plant.stall(world, 4)
        await world.advance(60 * SECOND)

    assert [number for number in plant.seen if number > 1] == [3, 4]


@ON_BOTH
async def test_short_stalls_again_and_again_do_not_keep_a_stream_for_ever(
    remembers: bool,
) -> None:
    plant = Fenced(remembers=remembers)

    async with plant.life() as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        for _ in range(10):
            await plant.stall(world, seconds=1.0)
            await plant.clock.advance(2.0)

    assert 3 in plant.seen


async def test_what_was_left_by_an_earlier_life_waits_for_a_look_at_the_broker() -> None:
    """What came while the service was down lies at the broker, and patience is over."""
    plant = Fenced(remembers=False)
    async with plant.life() as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
    assert [line.events for line in await plant.waiting()] == [1]
    await plant.clock.advance(3600.0)

    async with plant.life() as world:
        await plant.clock.advance(PATIENCE.total_seconds() - 0.5)  # it reads what else is there
        await send(world, 2)
        await world.advance(60 * SECOND)

        assert not world.dead_letters
    assert plant.seen == [1, 2, 3]


async def test_the_gap_that_an_earlier_life_left_is_given_up_in_the_end() -> None:
    plant = Fenced(remembers=False)
    async with plant.life() as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
    await plant.clock.advance(3600.0)

    async with plant.life() as world:
        await world.advance(PATIENCE + 2 * SECOND)

    assert plant.seen == [1, 3]

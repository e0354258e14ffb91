"""While a service can take nothing in, it gives up no number: that may be at the broker, unread."""

from collections.abc import Sequence

from choreo import Service
from choreo.errors import StoreError
from choreo.gaps import Gaps
from choreo.store.flights import Incarnation
from choreo.store.memory import MemoryStore
from choreo.store.memory.flights import MemoryFlights
from choreo.store.memory.ledger import MemoryLedger
from choreo.testing import Harness, ManualClock
from tests.order.events import Reading
from tests.order.plant import SECOND, send


class Locked(MemoryStore):
    """A store that can be read and, for a while, not written: another holds its lock."""

    durable = True
    locked = False

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
                if store.locked:
                    raise StoreError("database is locked")
                await super().depart(own, flight, events, landed)

        ledger.order.flights = Log(rows, service)
        return ledger


async def test_a_number_that_came_while_the_store_was_locked_is_not_given_up() -> None:
    clock = ManualClock()
    store = Locked(clock=clock)
    plant = Service("plant", store=store)
    seen: list[int] = []

    @plant.on(Reading, gaps=Gaps(patience=3 * SECOND))
    async def read(event: Reading) -> None:
        seen.append(event.number)

    async with Harness(plant, clock=clock) as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        store.locked = True
        await send(world, 2)
        await clock.advance(10.0)
        locked = list(seen)
        store.locked = False
        await world.advance(30 * SECOND)

        assert locked == [1]
        assert not world.dead_letters
    assert seen == [1, 2, 3]


async def test_patience_runs_out_once_the_service_sees_again() -> None:
    clock = ManualClock()
    store = Locked(clock=clock)
    plant = Service("plant", store=store)
    seen: list[int] = []

    @plant.on(Reading, gaps=Gaps(patience=3 * SECOND))
    async def read(event: Reading) -> None:
        seen.append(event.number)

    async with Harness(plant, clock=clock) as world:
        await send(world, 1, 3)
        await world.advance(SECOND)
        store.locked = True
        await send(world, 4)
        await clock.advance(10.0)
        store.locked = False
        await world.advance(60 * SECOND)

    assert seen == [1, 3, 4]

"""A service that reads what devices send, over several lives, on brokers of either kind."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Self
from uuid import uuid4

from choreo import Retry, Service
from choreo.broker import Broker, Capabilities
from choreo.gaps import Gaps
from choreo.park import Park
from choreo.store.lot import Lot, Waiting
from choreo.store.memory import MemoryStore
from choreo.store.order import Order
from choreo.testing import Harness, ManualClock
from choreo.testing.launch import Launch
from choreo_memory import MemoryBroker
from tests.order.events import Plain, Reading

SECOND = timedelta(seconds=1)


class Forgetful(MemoryBroker):
    """One that hands over again what was settled above something unsettled, as MQTT does."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, remembers=False)


class ForgetfulLaunch(Launch):
    """What has services start on such a broker."""

    def connect(self, url: str) -> Broker:
        return Forgetful(url)


class ForgetfulWorld(Harness):
    """A world on such a broker."""

    async def __aenter__(self) -> Self:
        launch = {each.name: getattr(self._launch, each.name) for each in fields(self._launch)}
        self._launch = ForgetfulLaunch(**launch)
        return await super().__aenter__()


class Plant:
    """A service that reads what devices send, with one store and one broker for all its lives."""

    def __init__(self, gaps: Gaps, *, remembers: bool = False, park: Park | None = None) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(clock=self.clock)
        self.url = f"memory://{uuid4()}"
        self.kind = Harness if remembers else ForgetfulWorld
        self.service = Service("plant", store=self.store, retry=Retry(attempts=1), outage_keys=0)
        self.seen: list[int] = []
        self.broken: set[int] = set()
        self.service.on(Reading, gaps=gaps, on_failure=park or "dead_letter")(self.read)
        self.service.on(Plain, gaps=gaps)(self.plain)

    async def read(self, event: Reading) -> None:
        """Note what came."""
        if event.number in self.broken:
            raise OSError(event.number)
        self.seen.append(event.number)

    async def plain(self, event: Plain) -> None:
        """Note what came."""
        self.seen.append(event.number)

    def life(self) -> Harness:
        """Let it run in a world of its own for a while."""
        return self.kind(self.service, broker=self.url, clock=self.clock)

    def held(self, world: Harness) -> int:
        """Count what is not settled."""
        worker = world.running(self.service).worker
        assert worker is not None
        return worker.held

    async def lot(self) -> Lot:
        """Open its lot, beside it."""
        return (await self.order()).lot

    async def order(self) -> Order:
        """Open what keeps its order, beside it."""
        beside = MemoryStore(clock=self.clock)
        beside._books = self.store._books
        await beside.__aenter__()
        return (await beside.ledger("plant", ["read", "plain"])).order

    async def waiting(self) -> Sequence[Waiting]:
        """List what waits in the store."""
        return await (await self.lot()).lines(100)


async def send(world: Harness, *numbers: int, sensor: str = "a") -> None:
    for number in numbers:
        await world.publish(Reading(sensor=sensor, number=number))

"""Real brokers out of one service's reach for longer than its patience: no number is given up."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from choreo import Event, Gaps, Service
from choreo.runner import Running, started
from choreo.store.lot import Attended
from choreo.store.opening import open_store
from choreo.testing.faults import BlackHole, Cut, Fault, Proxy, struck
from tests.conftest import StartKafka
from tests.local.parts import MqttPart
from tests.local.process import free_ports
from tests.patience import patient

PATIENCE = timedelta(seconds=6)
AWAY = 10.0
QUICK = "reconnect_delay=0.05&reconnect_delay_max=0.3&keepalive=2"


class Reading(Event):
    sensor: str
    number: int


class Site:
    """A service at the far end of a line, and a source of events that stands beside the broker."""

    def __init__(self, name: str, near: str, far: str, store: str) -> None:
        class SiteReading(
            Reading, topic=name, key="sensor", sequence="number", name="site.Reading"
        ): ...

        self.name, self.near, self.far, self.store = name, near, far, store
        self.kind = SiteReading
        self.seen: list[int] = []

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[tuple[Running, Running]]:
        """Start the source and the service."""
        async with self._source() as source, self._service() as service:
            yield source, service

    def _source(self) -> AbstractAsyncContextManager[Running]:
        return started(Service(f"{self.name}-source", broker=self.near, create_topics=True))

    def _service(self) -> AbstractAsyncContextManager[Running]:
        service = Service(self.name, broker=self.far, store=self.store, create_topics=True)

        @service.on(self.kind, gaps=Gaps(patience=PATIENCE))
        async def read(event: Reading) -> None:
            self.seen.append(event.number)

        return started(service)

    async def send(self, source: Running, *numbers: int) -> None:
        """Publish them in the order given."""
        await source.publish([self.kind(sensor="a", number=number) for number in numbers])

    async def until(self, numbers: Sequence[int]) -> None:
        """Return once *numbers* were handled."""
        async with asyncio.timeout(patient(30)):
            while not set(numbers) <= set(self.seen):
                await asyncio.sleep(0.02)

    async def waiting(self, count: int) -> None:
        """Return once so many wait in the store."""
        async with open_store(self.store) as store, asyncio.timeout(patient(30)):
            assert isinstance(store, Attended)
            lot = await store.lot(self.name)
            while sum(line.events for line in await lot.lines(100)) != count:
                await asyncio.sleep(0.02)

    async def troubled(self, source: Running, fault: Fault) -> None:
        """Send what is missing while *fault* lasts; return when all has come."""
        outage = asyncio.create_task(struck(fault, AWAY))
        await asyncio.sleep(0)
        await self.send(source, 4, 2)
        await outage
        await self.until([1, 2, 3, 4, 5])


TROUBLES: dict[str, Callable[[Proxy], Fault]] = {"cut": Cut, "silent": BlackHole}


@pytest.mark.timeout(90)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_numbers_that_lie_at_mosquitto_behind_a_dead_line_are_not_given_up(
    mosquitto: MqttPart, tmp_path: Path, fresh_name: Callable[[str], str], trouble: str
) -> None:
    """M10: for twice the patience the line is cut, or nothing passes on it."""
    async with Proxy.running("127.0.0.1", mosquitto.port) as proxy:
        far = f"mqtt://127.0.0.1:{proxy.port}?{QUICK}"
        site = Site(fresh_name("cut"), mosquitto.url, far, f"sqlite:///{tmp_path}/books.db")
        async with site.running() as (source, _):
            await site.send(source, 1, 3, 5)
            await site.waiting(2)
            await site.troubled(source, TROUBLES[trouble](proxy))

    assert site.seen == [1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_numbers_that_lie_at_kafka_behind_a_dead_line_are_not_given_up(
    kafka_cluster: StartKafka, tmp_path: Path, fresh_name: Callable[[str], str], trouble: str
) -> None:
    """K19: for twice the patience it is cut, or nothing passes; the membership outlives that."""
    (front,) = free_ports(1)
    async with Proxy.running("127.0.0.1", 1, listen=front) as proxy:
        cluster = await asyncio.to_thread(kafka_cluster, far=front)
        proxy.target = ("127.0.0.1", cluster.nodes[0].ports.clients["FAR"])
        site = Site(
            fresh_name("cut"),
            f"kafka://{cluster.bootstrap}?partitions=1",
            f"kafka://127.0.0.1:{front}?partitions=1",
            f"sqlite:///{tmp_path}/books.db",
        )
        async with site.running() as (source, service):
            await site.send(source, 1, 3, 5)
            assert service.worker is not None
            await site.until([1])
            while service.worker.held != 2:
                await asyncio.sleep(0.01)
            await site.troubled(source, TROUBLES[trouble](proxy))

    assert site.seen == [1, 2, 3, 4, 5]

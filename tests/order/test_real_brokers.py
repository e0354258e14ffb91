"""Order on brokers and databases as they run in production, over restarts."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from choreo import Event, Gaps, Park, Retry, Service
from choreo.runner import Running, started
from choreo.store.lot import Attended
from choreo.store.opening import open_store
from tests.local.parts import KafkaPart, MqttPart

MOMENT = timedelta(milliseconds=50)
Handle = Callable[[str, int], None]


class Reading(Event):
    sensor: str
    number: int


class Site:
    """A service and the source of its events, on a topic of one test's own."""

    def __init__(self, name: str, broker: str, store: str) -> None:
        class SiteReading(
            Reading, topic=name, key="sensor", sequence="number", name="site.Reading"
        ): ...

        self.name, self.broker, self.store = name, broker, store
        self.kind = SiteReading
        self.seen: list[tuple[str, int]] = []
        self.broken: set[tuple[str, int]] = set()

    def source(self) -> AbstractAsyncContextManager[Running]:
        """Start what publishes."""
        return started(Service(f"{self.name}-source", broker=self.broker, create_topics=True))

    def life(self) -> AbstractAsyncContextManager[Running]:
        """Start the service once more."""
        service = Service(
            self.name,
            broker=self.broker,
            store=self.store,
            create_topics=True,
            retry=Retry(attempts=1),
            outage_keys=0,
        )
        park = Park(initial=MOMENT, maximum=MOMENT, attempts=2)

        @service.on(self.kind, gaps=Gaps(policy="wait"), on_failure=park)
        async def read(event: Reading) -> None:
            place = (event.sensor, event.number)
            if place in self.broken:
                raise OSError(place)
            self.seen.append(place)

        return started(service)

    async def send(self, source: Running, numbers: Sequence[int], sensor: str = "a") -> None:
        """Publish numbers of one sensor, in the order given."""
        await source.publish([self.kind(sensor=sensor, number=number) for number in numbers])

    async def until(self, count: int) -> None:
        """Return once so many were handled."""
        while len(self.seen) < count:
            await asyncio.sleep(0.01)

    async def parked(self) -> int:
        """Count what waits in the store."""
        async with open_store(self.store) as store:
            assert isinstance(store, Attended)
            return sum(line.events for line in await (await store.lot(self.name)).lines(100))

    async def until_parked(self, count: int) -> None:
        """Return once so much waits in the store."""
        while await self.parked() != count:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_numbers_are_put_in_order_on_kafka_with_postgresql(
    real_kafka: KafkaPart, url: str, fresh_name: Callable[[str], str]
) -> None:
    """R2, R3: what is held back is handed over again after a restart, and nothing twice."""
    site, random = Site(fresh_name("numbers"), real_kafka.url, url), Random(7)
    numbers = {sensor: random.sample(range(1, 41), 40) for sensor in "abc"}
    async with site.source() as source:
        async with site.life() as first:
            for sensor, order in numbers.items():
                await site.send(source, order[:20], sensor)
            assert first.worker is not None
            while first.worker.held + len(site.seen) < 60:
                await asyncio.sleep(0.01)
        async with site.life():
            for sensor, order in numbers.items():
                await site.send(source, order[20:], sensor)
            await site.until(120)

    for sensor in "abc":
        assert [n for name, n in site.seen if name == sensor] == list(range(1, 41))


async def test_a_parked_key_waits_over_a_restart_on_kafka_with_sqlite(
    real_kafka: KafkaPart, tmp_path: Path, fresh_name: Callable[[str], str]
) -> None:
    """R10, D13: nobody overtakes the failed event, and others go on."""
    site = Site(fresh_name("parking"), real_kafka.url, f"sqlite:///{tmp_path}/books.db")
    site.broken = {("a", 2)}
    async with site.source() as source:
        async with site.life():
            await site.send(source, range(1, 11), "a")
            await site.send(source, range(1, 11), "b")
            await site.until_parked(9)
        site.broken = set()
        async with site.life():
            await site.send(source, [11], "a")
            await site.until(21)

    assert [n for name, n in site.seen if name == "a"] == list(range(1, 12))
    assert [n for name, n in site.seen if name == "b"] == list(range(1, 11))
    assert await site.parked() == 0


async def test_a_gap_stalls_no_connection_of_mosquitto_with_sqlite(
    mosquitto: MqttPart, tmp_path: Path, fresh_name: Callable[[str], str]
) -> None:
    """M5, R2: many times the window waits behind one gap, over a restart, and others go on."""
    url = f"{mosquitto.url}?receive_maximum=10"
    site = Site(fresh_name("spool"), url, f"sqlite:///{tmp_path}/books.db")
    behind = Random(3).sample(range(3, 103), 100)
    async with site.source() as source:
        async with site.life():
            await site.send(source, [1])
            await site.send(source, behind[:50])
            await site.send(source, range(1, 6), "b")
            await site.until(6)
            await site.until_parked(50)
        async with site.life():
            await site.send(source, behind[50:])
            await site.send(source, range(6, 11), "b")
            await site.until(11)
            assert [n for name, n in site.seen if name == "a"] == [1]
            await site.send(source, [2])
            await site.until(112)

    assert [n for name, n in site.seen if name == "a"] == list(range(1, 103))
    assert [n for name, n in site.seen if name == "b"] == list(range(1, 11))
    assert await site.parked() == 0

"""The same world on real brokers."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from choreo import Event, Message, Service
from choreo.broker import TopicFilter, open_broker
from choreo.reason import Reason
from choreo.testing import Harness
from tests.harness.shop import Booked, Placed, Shop, Taken
from tests.local import KafkaPart, MqttPart


@asynccontextmanager
async def world_on(url: str, shop: Shop) -> AsyncGenerator[Harness]:
    async with Harness(shop.payments, shop.books, broker=url, partitions=3) as world:
        yield world


async def a_chain_a_rejection_and_spoilt_bytes_end(url: str) -> None:
    shop = Shop()

    async with world_on(url, shop) as world:
        root = await world.publish(Placed(order=1))
        await world.publish(Placed(order=-1))
        await world.send(Message("orders", b"\xff spoilt"))
        await world.settle()

        assert world.published(Taken) == [Taken(order=1)]
        assert world.published(Booked) == [Booked(order=1)]
        assert {letter.reason for letter in world.dead_letters} == {
            Reason.REJECTED,
            Reason.FOREIGN,
        }
        assert [event.type for event in world.trail(root)] == ["Placed.v1", "Taken.v1", "Booked.v1"]


async def worlds_do_not_meet(url: str) -> None:
    for order in (1, 2):
        shop = Shop()
        async with world_on(url, shop) as world:
            await world.publish(Placed(order=order))
            await world.settle()

            assert shop.attempts == {order: 1}


async def a_burst_settles_once_all_of_it_is_handled(url: str) -> None:
    shop = Shop()

    async with world_on(url, shop) as world:
        await world.send(
            *[Message("orders", b"spoilt %d" % number, b"%d" % number) for number in range(300)]
        )
        for order in range(50):
            await world.publish(Placed(order=order))
        await world.settle()

        assert len(world.handled(shop.book)) == 50
        assert len(world.dead_letters) == 300


class Measured(Event, topic="building/{building}/temperature", key="building", retain=True):
    building: str
    celsius: float


class Alarmed(Event, topic="building/{building}/alarm", key="building"):
    building: str


async def templates_fill_and_wildcards_are_waited_for(url: str) -> None:
    climate, guard = Service("climate"), Service("guard")

    @climate.on(Measured, when=lambda measured: measured.celsius > 50)
    async def alarm(measured: Measured) -> Alarmed:
        return Alarmed(building=measured.building)

    @guard.on(Alarmed)
    async def run(alarmed: Alarmed) -> None: ...

    async with Harness(climate, guard, broker=url) as world:
        for celsius in (20.0, 60.0, 70.0):
            await world.publish(Measured(building=f"north {celsius}", celsius=celsius))
        await world.settle()

        handled = {alarmed.building for alarmed in world.handled(run)}
        assert handled == {"north 60.0", "north 70.0"}


Scenario = Callable[[str], Awaitable[None]]
SCENARIOS: tuple[Scenario, ...] = (
    a_chain_a_rejection_and_spoilt_bytes_end,
    worlds_do_not_meet,
    a_burst_settles_once_all_of_it_is_handled,
    templates_fill_and_wildcards_are_waited_for,
)
SCENARIO_NAMES = ("chain", "isolation", "burst", "templates")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=SCENARIO_NAMES)
async def test_on_mosquitto(mosquitto: MqttPart, scenario: Scenario) -> None:
    await scenario(mosquitto.url)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=SCENARIO_NAMES)
async def test_on_kafka(kafka: KafkaPart, scenario: Scenario) -> None:
    await scenario(kafka.url)


async def test_a_world_leaves_no_kept_values_on_a_shared_broker(mosquitto: MqttPart) -> None:
    shop = Shop()

    async with Harness(shop.payments, broker=mosquitto.url, namespace="leaves-nothing") as world:
        await world.publish(Placed(order=-1))
        await world.settle()
        assert len(world.dead_letters) == 1

    everything = TopicFilter("leaves-nothing/choreo/dlq/payments/+", retained=True)
    async with (
        open_broker(mosquitto.url) as broker,
        broker.browse(everything) as deliveries,
    ):
        assert [delivery.topic async for delivery in deliveries] == []

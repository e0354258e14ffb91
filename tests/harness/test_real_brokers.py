"""The same world on real brokers."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from choreo import Message
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


Scenario = Callable[[str], Awaitable[None]]
SCENARIOS: tuple[Scenario, ...] = (
    a_chain_a_rejection_and_spoilt_bytes_end,
    worlds_do_not_meet,
    a_burst_settles_once_all_of_it_is_handled,
)
SCENARIO_NAMES = ("chain", "isolation", "burst")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=SCENARIO_NAMES)
async def test_on_mosquitto(mosquitto: MqttPart, scenario: Scenario) -> None:
    await scenario(mosquitto.url)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=SCENARIO_NAMES)
async def test_on_kafka(kafka: KafkaPart, scenario: Scenario) -> None:
    await scenario(kafka.url)

"""Load on a real Mosquitto while connections are cut and the consumer is killed: what must hold."""

import asyncio
from collections import defaultdict
from random import Random

import pytest

from choreo.broker import Consumer
from choreo.errors import PublishError
from choreo.message import Delivery, Message
from choreo.testing.faults.proxy import Proxy
from choreo_mqtt import MqttBroker
from tests.local import MosquittoOptions
from tests.local.process import LOOPBACK
from tests.mqtt.faults import QUICK, Start, kill_client
from tests.mqtt.listener import Recorder, numbers, subscription

TOPICS = [f"storm/{n}" for n in range(5)]
EACH = 600
DEATHS = 5
CUTS = 12


def share(death: int) -> int:
    """Count the messages that have come when the consumer dies for the *death*-th time."""
    return EACH * len(TOPICS) * death // (DEATHS + 1)


class Ledger:
    """What was handed over, how often, and whether first occurrences came in order."""

    def __init__(self) -> None:
        self.seen: dict[str, set[int]] = defaultdict(set)
        self.disorder: list[str] = []
        self.repeats = 0

    @property
    def complete(self) -> bool:
        return all(len(self.seen[topic]) == EACH for topic in TOPICS)

    @property
    def count(self) -> int:
        return sum(map(len, self.seen.values()))

    def take(self, delivery: Delivery) -> None:
        (number,) = numbers([delivery])
        seen = self.seen[delivery.topic]
        self.repeats += number in seen
        if number not in seen and number != len(seen):
            self.disorder.append(f"{delivery.topic}: {number} after {len(seen) - 1}")
        seen.add(number)


async def consume(
    consumer: Consumer, ledger: Ledger, random: Random, upto: int = EACH * len(TOPICS)
) -> None:
    """Handle *upto* messages with random durations, settling out of order across topics."""
    held: list[Delivery] = []
    while ledger.count < upto:
        polling = asyncio.ensure_future(consumer.poll(50))
        await asyncio.wait([polling], timeout=0.02)
        if polling.done():
            for delivery in polling.result():
                ledger.take(delivery)
                held.append(delivery)
        polling.cancel()
        random.shuffle(held)
        done, held = held[len(held) // 3 :], held[: len(held) // 3]
        consumer.settle(done)


async def publish(broker: MqttBroker) -> None:
    """Publish all of it, in order, each as often as it takes to be accepted."""
    for number in range(EACH):
        left = [Message(topic, b"%d" % number, headers=[("n", b"x" * 50)]) for topic in TOPICS]
        while left:
            try:
                await broker.publish(left)
                break
            except PublishError as error:
                # A refused one is not sent again, and the ledger will miss it.
                left = [left[index] for index in sorted(error.unknown)]


@pytest.mark.timeout(60)
async def test_nothing_is_lost_or_out_of_order_while_connections_are_cut(
    mqtt_broker: Start, listener: Recorder
) -> None:
    """F1, F8, F10, M3, M4, M11: cut in the middle of packets, politely and rudely, and stalled."""
    server = mqtt_broker(MosquittoOptions())
    random = Random(11)
    ledger = Ledger()
    async with Proxy.running(LOOPBACK, server.port) as proxy:
        url = f"mqtt://{LOOPBACK}:{proxy.port}{QUICK}&keepalive=1&ping_timeout=0.5"
        async with (
            MqttBroker(url) as publisher,
            MqttBroker(url) as broker,
            broker.subscribe(subscription("storm/+"), listener) as consumer,
        ):
            work = [
                asyncio.ensure_future(publish(publisher)),
                asyncio.ensure_future(consume(consumer, ledger, random)),
            ]
            for cut in range(CUTS):
                while ledger.count < EACH * len(TOPICS) * cut // (CUTS + 1):
                    await asyncio.sleep(0.01)
                proxy.cut(politely=random.random() < 0.5)
            proxy.stall()
            await asyncio.wait(work, timeout=2.0)
            proxy.resume()
            await asyncio.gather(*work)

    assert proxy.cuts >= CUTS
    assert ledger.complete
    assert ledger.disorder == []
    assert "session_lost" not in listener.kinds


@pytest.mark.timeout(60)
async def test_nothing_is_lost_or_out_of_order_while_the_consumer_is_killed(
    mqtt_broker: Start, listener: Recorder
) -> None:
    """F1, M1: five deaths, and what was settled and told the broker stays settled."""
    server = mqtt_broker(MosquittoOptions())
    random = Random(12)
    ledger = Ledger()
    wanted = subscription("storm/+", read_ahead=100)
    async with MqttBroker(server.url + QUICK) as publisher:
        async with MqttBroker(server.url) as broker, broker.subscribe(wanted, listener):
            pass
        publishing = asyncio.ensure_future(publish(publisher))
        for death in range(1, DEATHS + 2):
            async with (
                MqttBroker(server.url + QUICK) as broker,
                broker.subscribe(wanted, listener) as consumer,
            ):
                await consume(consumer, ledger, random, share(death))
                if death <= DEATHS:
                    kill_client(broker)
        await publishing

    assert ledger.complete
    assert ledger.disorder == []

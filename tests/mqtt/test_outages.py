"""A real Mosquitto: frozen, killed, restarted, and behind on its queue."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from choreo.broker import Consumer
from choreo.errors import BrokerError, ConnectionLost, PublishError
from choreo.message import Delivery, Message
from choreo_mqtt import MqttBroker
from tests.local import MosquittoOptions, MqttPart
from tests.mqtt.faults import QUICK, WATCHFUL, Name, Start, kill_client
from tests.mqtt.listener import Recorder, numbered, numbers, receive, subscription
from tests.patience import patient


async def test_headers_arrive_in_order_with_repeats_and_content_type(
    mosquitto: MqttPart, listener: Recorder, fresh_name: Name
) -> None:
    topic = fresh_name("t")
    headers = [("content-type", b"application/json"), ("b", b"1"), ("a", "ü".encode()), ("b", b"2")]
    async with (
        MqttBroker(mosquitto.url) as broker,
        broker.subscribe(subscription(topic, group=fresh_name("g")), listener) as consumer,
    ):
        await broker.publish([Message(topic, b"{}", headers=headers)])
        (got,) = await receive(consumer, 1)
        consumer.settle([got])

    assert list(got.headers) == headers


async def test_a_killed_consumer_is_handed_what_it_had_not_settled(
    mosquitto: MqttPart, listener: Recorder, fresh_name: Name
) -> None:
    """M1, M2, M3."""
    topic, group = fresh_name("t"), fresh_name("g")
    wanted = subscription(topic, group=group)
    async with MqttBroker(mosquitto.url) as publisher:
        async with (
            MqttBroker(mosquitto.url + QUICK) as broker,
            broker.subscribe(wanted, listener) as consumer,
        ):
            await publisher.publish(numbered(topic, 60))
            got = await receive(consumer, 40)
            consumer.settle(got[:20])
            await consumer.flush()
            await publisher.publish(numbered(topic + "/none", 1))
            kill_client(broker)
        async with (
            MqttBroker(mosquitto.url) as broker,
            broker.subscribe(wanted, listener) as consumer,
        ):
            again = await receive(consumer, 40)
            consumer.settle(again)

    assert numbers(again) == list(range(20, 60))


async def test_everything_published_while_away_is_handed_over(
    mosquitto: MqttPart, listener: Recorder, fresh_name: Name
) -> None:
    """M6, M7, M10: far more than is read ahead, and than any default of the broker."""
    topic, group = fresh_name("t"), fresh_name("g")
    wanted = subscription(topic, group=group, read_ahead=50)
    async with MqttBroker(mosquitto.url) as broker:
        async with broker.subscribe(wanted, listener):
            pass
        await broker.publish(numbered(topic, 5000))
        async with broker.subscribe(wanted, listener) as consumer:
            got: list[Delivery] = []
            while len(got) < 5000:
                batch = await consumer.poll(100)
                consumer.settle(batch)
                got.extend(batch)
        async with broker.subscribe(wanted, listener) as consumer:
            await broker.publish([Message(topic, b"5000")])
            got.extend(await receive(consumer, 1))

    assert numbers(got) == list(range(5001))


async def test_a_slow_consumer_loses_nothing_and_holds_little(
    mosquitto: MqttPart, listener: Recorder, fresh_name: Name
) -> None:
    """M6, A7: acknowledgements flow, and Mosquitto 2.0.11 then overruns its Receive Maximum."""
    topic = fresh_name("t")
    wanted = subscription(topic, group=fresh_name("g"), read_ahead=20, max_span=40)
    most = 0
    got: list[Delivery] = []
    async with (
        MqttBroker(mosquitto.url) as broker,
        broker.subscribe(wanted, listener) as consumer,
    ):
        publishing = asyncio.ensure_future(broker.publish(numbered(topic, 3000, size=500)))
        while len(got) < 3000:
            batch = await consumer.poll(7)
            got.extend(batch)
            most = max(most, len(broker._consumers[0]._buffer))
            await asyncio.sleep(0)
            consumer.settle(batch)
        await publishing

    assert numbers(got) == list(range(3000))
    assert most <= 20


async def test_a_broker_killed_and_restarted_is_found_again(
    mqtt_broker: Start, listener: Recorder
) -> None:
    """F5, M13: nothing settled comes again, nothing unsettled is lost."""
    server = mqtt_broker(MosquittoOptions())
    async with (
        MqttBroker(server.url + QUICK) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        await broker.publish(numbered("t", 30))
        got = await receive(consumer, 30)
        consumer.settle(got[:10])
        await consumer.flush()
        await asyncio.to_thread(server.terminate)
        with pytest.raises(PublishError) as failed:
            await broker.publish([Message("t", b"lost")])
        await asyncio.to_thread(server.start)
        await listener.heard("reconnected")
        again = await receive(consumer, 20)
        consumer.settle(again)
        await broker.publish([Message("t", b"30")])
        last = await receive(consumer, 1)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await listener.heard("reconnected", 2)

    assert list(failed.value.unknown) == [0]
    assert numbers(again) == list(range(10, 30))
    assert numbers(last) == [30]
    assert listener.revoked


async def test_a_broker_without_persistence_that_restarts_is_a_lost_session(
    mqtt_broker: Start, listener: Recorder
) -> None:
    """M8, M13."""
    server = mqtt_broker(MosquittoOptions(settings={"persistence": "false"}))
    async with (
        MqttBroker(server.url + QUICK) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await listener.heard("reconnected")
        assert "session_lost" in listener.kinds
        while True:
            try:
                await broker.publish([Message("t", b"1")])
                break
            except PublishError:
                continue
        assert numbers(await receive(consumer, 1)) == [1]


async def test_a_frozen_broker_is_given_up_and_found_again(
    mqtt_broker: Start, listener: Recorder
) -> None:
    """F8, F25, M19: a black hole, open and silent."""
    server = mqtt_broker(MosquittoOptions())
    async with (
        MqttBroker(server.url + WATCHFUL) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        server.freeze()
        try:
            await listener.heard("rebuilt")
            with pytest.raises(PublishError) as failed:
                await broker.publish([Message("t", b"0")])
        finally:
            server.thaw()
        await listener.heard("reconnected")
        await broker.publish([Message("t", b"1")])
        got = await receive(consumer, 1)

    assert list(failed.value.unknown) == [0]
    assert numbers(got) == [1]


async def test_leaving_a_frozen_broker_is_bounded(mqtt_broker: Start, listener: Recorder) -> None:
    """M26."""
    server = mqtt_broker(MosquittoOptions())
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(MqttBroker(server.url + WATCHFUL))
        consumer = await stack.enter_async_context(broker.subscribe(subscription(), listener))
        await broker.publish(numbered("t", 10))
        consumer.settle(await receive(consumer, 10))
        server.freeze()
        try:
            began = time.monotonic()
            await stack.aclose()
            took = time.monotonic() - began
            with pytest.raises(ConnectionLost):
                await MqttBroker(server.url + WATCHFUL).__aenter__()
        finally:
            server.thaw()

    assert took < 2.0


async def test_of_two_processes_with_one_client_id_the_older_ends_with_a_clear_error(
    mosquitto: MqttPart, fresh_name: Name
) -> None:
    """M11: Mosquitto 2.0.11 throws the older one out without a word."""
    topic = fresh_name("t")
    wanted = subscription(topic, group=fresh_name("g"))
    listeners = [Recorder(), Recorder()]
    async with AsyncExitStack() as stack:
        brokers = [MqttBroker(mosquitto.url + QUICK) for _ in listeners]
        consumers: list[Consumer] = []
        for broker, listener in zip(brokers, listeners, strict=True):
            await stack.enter_async_context(broker)
            consumers.append(await stack.enter_async_context(broker.subscribe(wanted, listener)))
        older, newer = (asyncio.ensure_future(consumer.poll(1)) for consumer in consumers)
        async with asyncio.timeout(patient(30)):
            with pytest.raises(BrokerError, match="used by another process"):
                await older
            await brokers[1].publish([Message(topic, b"for the newer")])
            (delivery,) = await newer

    assert delivery.body == b"for the newer"
    assert listeners[0].kinds.count("taken_over") == 4


async def test_a_restarting_broker_is_no_takeover(mqtt_broker: Start, listener: Recorder) -> None:
    """M11: more than three silent ends a minute, all the broker's own."""
    server = mqtt_broker(MosquittoOptions())
    async with (
        MqttBroker(server.url + QUICK) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        for count in range(1, 6):
            await asyncio.to_thread(server.terminate)
            await asyncio.to_thread(server.start)
            await listener.heard("reconnected", count)
        while True:
            try:
                await broker.publish([Message("t", b"1")])
                break
            except PublishError:
                continue
        await receive(consumer, 1)

    assert "taken_over" not in listener.kinds

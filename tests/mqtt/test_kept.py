"""Retained messages on a real Mosquitto: dead letters, browsing, states of devices."""

import asyncio

from choreo.broker import TopicFilter
from choreo.message import Delivery, Message
from choreo_mqtt import MqttBroker
from tests.local import MosquittoOptions, MqttPart
from tests.mqtt.faults import QUICK, Name, Start
from tests.mqtt.listener import Recorder, numbers, receive, subscription
from tests.patience import patient


async def test_dead_letters_are_kept_over_a_restart_and_can_be_read_and_deleted(
    mqtt_broker: Start,
) -> None:
    """One retained message per letter: the dead-letter topic of a broker without topics."""
    server = mqtt_broker(MosquittoOptions())
    letters = [
        Message(f"choreo/dlq/payments/{n}", b"\x00\xff%d" % n, headers=[("n", b"1")], retain=True)
        for n in range(1500)
    ]
    everything = TopicFilter("choreo/dlq/payments/#")
    async with MqttBroker(server.url + QUICK) as broker:
        await broker.publish(letters)
        await broker.publish([Message(letters[0].topic, b"", retain=True)])
    await asyncio.to_thread(server.terminate)
    await asyncio.to_thread(server.start)

    async with MqttBroker(server.url + QUICK) as broker:
        async with broker.browse(everything) as reading:
            got = {each.topic: each async for each in reading}
        async with broker.browse(TopicFilter("choreo/dlq/none/#")) as reading:
            none = [each async for each in reading]

    assert sorted(got) == sorted(letter.topic for letter in letters[1:])
    assert all(got[letter.topic].body == letter.body for letter in letters[1:])
    assert all(each.retain and list(each.headers) == [("n", b"1")] for each in got.values())
    assert none == []


async def test_reading_what_is_kept_ends_while_others_go_on_publishing(
    mosquitto: MqttPart, fresh_name: Name
) -> None:
    """A desk looks at what another one is still sending."""
    topic = fresh_name("t")
    kept = [Message(f"{topic}/{number}", b"kept", retain=True) for number in range(100)]
    async with MqttBroker(mosquitto.url) as broker, MqttBroker(mosquitto.url) as other:

        async def talk() -> None:
            while True:
                await other.publish([Message(f"{topic}/live", b"live")])

        await broker.publish(kept)
        talking = asyncio.get_running_loop().create_task(talk())
        try:
            async with (
                asyncio.timeout(patient(6)),
                broker.browse(TopicFilter(f"{topic}/#")) as reading,
            ):
                got = [each.topic async for each in reading]
        finally:
            talking.cancel()
            await asyncio.wait({talking})
        await broker.publish([Message(each.topic, b"", retain=True) for each in kept])

    assert sorted(got) == sorted(each.topic for each in kept)


async def test_browsing_can_go_on_with_what_comes(mosquitto: MqttPart, fresh_name: Name) -> None:
    topic = fresh_name("t")
    async with MqttBroker(mosquitto.url) as broker:
        await broker.publish([Message(f"{topic}/kept", b"1", retain=True)])
        async with broker.browse(TopicFilter(f"{topic}/#"), follow=True) as reading:
            first = await anext(reading)
            await broker.publish([Message(f"{topic}/live", b"2", retain=True)])
            second = await anext(reading)

    assert [(each.body, each.retain) for each in (first, second)] == [(b"1", True), (b"2", False)]


async def test_a_live_message_that_is_also_kept_is_handed_over(
    mosquitto: MqttPart, listener: Recorder, fresh_name: Name
) -> None:
    """M21: a device that publishes its state retained is heard, by those who want no old state."""
    topic = fresh_name("t")
    async with (
        MqttBroker(mosquitto.url) as broker,
        broker.subscribe(subscription(topic, group=fresh_name("g")), listener) as consumer,
    ):
        await broker.publish([Message(topic, b"1", retain=True)])
        (got,) = await receive(consumer, 1)

    assert not got.retain


async def test_a_retained_message_is_one_effect_however_often_we_reconnect(
    mosquitto: MqttPart, listener: Recorder, fresh_name: Name
) -> None:
    """M21."""
    topic = fresh_name("t")
    wanted = subscription(TopicFilter(topic, retained=True), group=fresh_name("g"))
    got: list[Delivery] = []
    async with MqttBroker(mosquitto.url) as broker:
        await broker.publish([Message(topic, b"0", retain=True)])
        for number in range(1, 6):
            async with broker.subscribe(wanted, listener) as consumer:
                await broker.publish([Message(topic, b"%d" % number)])
                while not got or numbers(got)[-1] != number:
                    batch = await consumer.poll(10)
                    consumer.settle(batch)
                    got.extend(batch)

    assert numbers(got) == list(range(6))


async def test_following_begins_with_what_comes_where_that_is_asked_for(
    mosquitto: MqttPart, fresh_name: Name
) -> None:
    topic = fresh_name("t")
    async with MqttBroker(mosquitto.url) as broker:
        await broker.publish([Message(f"{topic}/kept", b"1", retain=True)])
        wanted = TopicFilter(f"{topic}/#", fresh=True)
        async with broker.browse(wanted, follow=True) as reading:
            await broker.publish([Message(f"{topic}/live", b"2")])
            first = await anext(reading)

    assert first.body == b"2"


async def test_what_is_published_after_entering_is_followed(
    mosquitto: MqttPart, fresh_name: Name
) -> None:
    topic = fresh_name("t")
    async with MqttBroker(mosquitto.url) as broker:
        for number in range(20):
            async with broker.browse(TopicFilter(topic), follow=True) as reading:
                await broker.publish([Message(topic, b"%d" % number)])
                assert (await anext(reading)).body == b"%d" % number

"""A real Mosquitto: frozen, killed, restarted, closed to us, and full of what it keeps."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from choreo.broker import TopicFilter
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost, PublishError
from choreo.message import Message
from choreo_mqtt import MqttBroker
from tests.local import Mosquitto, MosquittoOptions, MqttPart
from tests.mqtt.faults import kill_client
from tests.mqtt.listener import Recorder, numbered, numbers, receive, subscription

Start = Callable[[MosquittoOptions], Mosquitto]
Name = Callable[[str], str]

QUICK = "?publish_timeout=2&connect_timeout=2&reconnect_delay=0.05&reconnect_delay_max=0.3"
WATCHFUL = QUICK + "&keepalive=1&ping_timeout=0.5&close_timeout=0.5"


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
            got = []
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
    got = []
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
    """F5: nothing settled comes again, nothing unsettled is lost; the last second is Mosquitto's."""
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


async def test_one_client_id_in_two_processes_ends_with_a_clear_error(
    mosquitto: MqttPart, fresh_name: Name
) -> None:
    """M11: Mosquitto 2.0.11 throws the older one out without a word."""
    wanted = subscription(fresh_name("t"), group=fresh_name("g"))
    listeners = [Recorder(), Recorder()]
    async with AsyncExitStack() as stack:
        consumers = []
        for listener in listeners:
            broker = await stack.enter_async_context(MqttBroker(mosquitto.url + QUICK))
            consumers.append(await stack.enter_async_context(broker.subscribe(wanted, listener)))
        polls = [asyncio.ensure_future(consumer.poll(1)) for consumer in consumers]
        async with asyncio.timeout(30):
            done, _ = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
        for poll in done:
            with pytest.raises(BrokerError, match="used by another process"):
                poll.result()
        for poll in polls:
            poll.cancel()
        await asyncio.wait(polls)

    assert max(listener.kinds.count("taken_over") for listener in listeners) == 4


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


async def test_a_forbidden_publish_is_refused_and_its_neighbours_are_not(
    mqtt_broker: Start, listener: Recorder
) -> None:
    """M14: 'published' says nothing, only the reason code does."""
    rules = ("user writer", "topic readwrite allowed/#")
    server = mqtt_broker(MosquittoOptions(users={"writer": "s3cret"}, rules=rules))
    url = server.url.replace("://", "://writer:s3cret@")
    async with (
        MqttBroker(url) as broker,
        broker.subscribe(subscription("allowed/+"), listener) as consumer,
    ):
        topics = ["allowed/a", "denied", "allowed/b"]
        with pytest.raises(PublishError) as failed:
            await broker.publish([Message(topic, b"1") for topic in topics])
        got = await receive(consumer, 2)

    assert failed.value.refused == {1: "Not authorized"}
    assert [each.topic for each in got] == ["allowed/a", "allowed/b"]


@pytest.mark.parametrize("credentials", ["", "writer@", "writer:wrong@", "nobody:s3cret@"])
async def test_wrong_credentials_are_a_configuration_error(
    mqtt_broker: Start, credentials: str, caplog: pytest.LogCaptureFixture
) -> None:
    """T12."""
    server = mqtt_broker(MosquittoOptions(users={"writer": "s3cret"}))
    url = server.url.replace("://", f"://{credentials}")

    with caplog.at_level("DEBUG"), pytest.raises(ConfigurationError) as failed:
        await MqttBroker(url).__aenter__()

    assert "s3cret" not in caplog.text + str(failed.value)


async def test_tls_verifies_the_broker_and_shows_our_certificate(
    mqtt_broker: Start, listener: Recorder
) -> None:
    """T11; more than one TLS record at once, and back-pressure through TLS."""
    server = mqtt_broker(MosquittoOptions(tls=True, client_certificates=True))
    assert server.authority is not None
    assert server.client is not None
    trusting = f"{server.url}?cafile={server.authority.certificate}&connect_timeout=2"
    known = f"{trusting}&certfile={server.client.chain}&keyfile={server.client.key}"
    wanted = subscription(read_ahead=3)
    async with (
        MqttBroker(known) as broker,
        broker.subscribe(wanted, listener) as consumer,
    ):
        await broker.publish(numbered("t", 300, size=20_000))
        got = []
        while len(got) < 300:
            batch = await consumer.poll(2)
            consumer.settle(batch)
            got.extend(batch)

    assert numbers(got) == list(range(300))
    with pytest.raises(ConfigurationError, match="not trusted"):
        await MqttBroker(server.url).__aenter__()
    with pytest.raises(BrokerError):
        await MqttBroker(trusting).__aenter__()
    with pytest.raises(ConnectionLost):
        await MqttBroker(server.url.replace("mqtts", "mqtt") + "?connect_timeout=2").__aenter__()


async def test_an_oversized_message_is_refused_and_its_neighbours_are_not(
    mqtt_broker: Start, listener: Recorder
) -> None:
    """M24: else Mosquitto hangs up, at each attempt."""
    server = mqtt_broker(MosquittoOptions(settings={"max_packet_size": "1000"}))
    async with (
        MqttBroker(server.url) as broker,
        broker.subscribe(subscription(), listener) as consumer,
    ):
        with pytest.raises(PublishError) as failed:
            await broker.publish(
                [Message("t", b"0"), Message("t", b"x" * 1000), Message("t", b"2")]
            )
        got = await receive(consumer, 2)

    assert list(failed.value.refused) == [1]
    assert numbers(got) == [0, 2]


async def test_text_that_mosquitto_hangs_up_on_is_refused_first(
    mosquitto: MqttPart, listener: Recorder, fresh_name: Name
) -> None:
    """A stack trace in a dead letter's header would else end every attempt to bury it."""
    topic = fresh_name("t")
    bad = ["a\nb", "\x7f", "\x85", "\ufffe", "\ufdd0", "\U0001fffe", "\x00"]
    good = ["\ufeffbom", "\u2028", "\u00a0", "\ue000", "\U0001f3bb"]
    async with (
        MqttBroker(mosquitto.url) as broker,
        broker.subscribe(subscription(topic, group=fresh_name("g")), listener) as consumer,
    ):
        messages = [Message(topic, b"1", headers=[("h", text.encode())]) for text in bad + good]
        with pytest.raises(PublishError) as failed:
            await broker.publish(messages)
        got = await receive(consumer, len(good))

    assert sorted(failed.value.refused) == list(range(len(bad)))
    assert not failed.value.unknown
    assert [each.headers[0][1] for each in got] == [text.encode() for text in good]


# ── what the broker keeps ─────────────────────────────────────────────────────────────────────


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
    got = []
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

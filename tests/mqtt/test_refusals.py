"""What a real Mosquitto refuses, and what is refused before it could."""

import pytest

from choreo.errors import BrokerError, ConfigurationError, ConnectionLost, PublishError
from choreo.message import Delivery, Message
from choreo_mqtt import MqttBroker
from tests.local import MosquittoOptions, MqttPart
from tests.mqtt.faults import Name, Start
from tests.mqtt.listener import Recorder, numbered, numbers, receive, subscription


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
        got: list[Delivery] = []
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

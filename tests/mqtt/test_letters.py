"""Dead letters of messages that MQTT lets in and would not let out again."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from choreo import Event, Message, Reject, Service
from choreo.broker import Broker, open_broker
from choreo.dead_letter import dead_letter_filter, original, read_dead_letter
from choreo.message import Delivery
from choreo.packing import BODY, EMPTY, HEADERS
from choreo.reason import Reason
from choreo.runner import Running, started
from choreo_mqtt.mapping import delivered
from tests.local import MosquittoOptions, MqttPart
from tests.mqtt.fake_broker import FakeBroker, user_property
from tests.mqtt.faults import QUICK, Name, Start


class Measured(Event, topic="rooms/{room}", key="room", domain="letters"):
    room: str


ENVELOPE = [
    ("specversion", b"1.0"),
    ("id", b"1"),
    ("source", b"urn:device"),
    ("type", b"letters.Measured.v1"),
]


@asynccontextmanager
async def rejecting(url: str, name: str) -> AsyncGenerator[Running]:
    service = Service(name, broker=url, foreign="dead_letter")

    @service.on(Measured)
    async def measure(measured: Measured) -> None:
        raise Reject("never")

    async with started(service) as running:
        yield running


async def letters_of(broker: Broker, name: str, count: int) -> list[Delivery]:
    """Wait until *count* letters of a service are kept, and read them."""
    while True:
        async with broker.browse(dead_letter_filter(name, broker.capabilities)) as reading:
            found = [letter async for letter in reading]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.05)


async def forget(broker: Broker, letters: list[Delivery]) -> None:
    await broker.publish([Message(letter.topic, b"", retain=True) for letter in letters])


@pytest.mark.parametrize("headers", [[], ENVELOPE])
async def test_an_empty_message_is_a_letter_that_is_kept(
    mosquitto: MqttPart, fresh_name: Name, headers: list[tuple[str, bytes | None]]
) -> None:
    """A device clears its state; a letter with that body would clear the letter."""
    name = fresh_name("empty")
    room = f"rooms/{name}"
    async with rejecting(mosquitto.url, name) as running, open_broker(mosquitto.url) as broker:
        await broker.publish([Message(room, b"", headers=headers)])
        (letter,) = await letters_of(broker, name, 1)
        assert running.worker is not None
        await running.worker.idle()
        await forget(broker, [letter])

    restored = original(letter)
    assert letter.retain
    assert dict(letter.headers)[EMPTY] == b"true"
    assert (restored.topic, restored.body, list(restored.headers)) == (room, b"", headers)


async def test_a_letter_larger_than_mosquitto_takes_is_deflated_and_kept(
    mqtt_broker: Start,
) -> None:
    server = mqtt_broker(MosquittoOptions(settings={"max_packet_size": "2000"}))
    body = b'{"room": "cellar", "notes": "%s"}' % (b"cold " * 340)
    async with (
        rejecting(server.url + QUICK, "large") as running,
        open_broker(server.url) as broker,
    ):
        await broker.publish([Message("rooms/cellar", body, headers=ENVELOPE)])
        (letter,) = await letters_of(broker, "large", 1)
        assert running.worker is not None
        await running.worker.idle()

    restored, told = original(letter), read_dead_letter(letter)
    assert told is not None
    assert told.reason is Reason.REJECTED
    assert dict(letter.headers)[BODY] == b"deflate"
    assert (restored.topic, restored.body) == ("rooms/cellar", body)
    assert list(restored.headers) == ENVELOPE


async def test_headers_that_came_by_a_lax_broker_are_packed_before_they_are_refused(
    fake: FakeBroker,
) -> None:
    """M: control characters, and what is no UTF-8; Mosquitto would cut the connection for them."""
    spoilt = [("note", b"line\x01\n"), ("raw", b"\xff\xfe"), ("note", b"")]
    properties = b"".join(user_property(name, value) for name, value in spoilt)
    async with rejecting(fake.url(), "lax") as running:
        await fake.until(lambda: fake.consumers and fake.consumers[-1].filters)
        fake.consumers[-1].deliver(1, "rooms/cellar", b"\xffbody", properties)
        await fake.until(lambda: fake.consumers[-1].acked == [1])
        assert running.worker is not None
        assert running.worker.held == 0
        (letter,) = [sent for each in fake.publishers for sent in each.published]

    message = delivered(letter, stream="", position=0, epoch=0)
    restored = original(message)
    assert letter.retain
    assert HEADERS in dict(message.headers)
    assert (restored.topic, restored.body) == ("rooms/cellar", b"\xffbody")
    assert list(restored.headers) == spoilt

"""A blocking MQTT 5 client for tests: the plainest thing that can contradict choreo's adapter."""

import ssl
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.local.process import LOOPBACK, wait_until

SESSION_SECONDS = 3600
PATIENCE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who connects, and how."""

    client_id: str
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    receive_maximum: int = 65_535


@dataclass(slots=True)
class MqttClient:
    """What a connection has seen: its greeting, and what arrived.

    While *reading* is cleared nothing is taken and nothing acknowledged.
    """

    client: Client
    reading: threading.Event = field(default_factory=threading.Event)
    received: list[MQTTMessage] = field(default_factory=list[MQTTMessage])
    granted: dict[int, list[ReasonCode]] = field(default_factory=dict[int, list[ReasonCode]])
    greeting: tuple[ReasonCode, ConnectFlags, Properties | None] | None = None

    @property
    def reason(self) -> ReasonCode:
        assert self.greeting is not None
        return self.greeting[0]

    @property
    def session_present(self) -> bool:
        assert self.greeting is not None
        return self.greeting[1].session_present

    @property
    def limits(self) -> Mapping[str, object]:
        """Return the properties of the broker's CONNACK."""
        assert self.greeting is not None
        properties = self.greeting[2] or Properties(PacketTypes.CONNACK)
        return cast("Mapping[str, object]", properties.json())

    def take(self, message: MQTTMessage) -> None:
        self.reading.wait(timeout=PATIENCE)
        self.received.append(message)

    def subscribe(self, topic: str) -> None:
        """Return once the broker has granted the subscription."""
        _, number = self.client.subscribe(topic, qos=1)
        assert number is not None
        wait_until(lambda: number in self.granted, f"SUBACK for {topic}")

    def publish(self, topic: str, *payloads: bytes, retain: bool = False) -> list[ReasonCode]:
        """Return once the broker has acknowledged every payload, with its reason codes."""
        codes: dict[int, ReasonCode] = {}
        self.client.on_publish = _remember(codes)
        sent = [self.client.publish(topic, each, qos=1, retain=retain) for each in payloads]
        wait_until(lambda: all(each.mid in codes for each in sent), f"PUBACKs from {topic}")
        return [codes[each.mid] for each in sent]

    def wait_for(self, count: int) -> list[bytes]:
        """Return the payloads once that many have arrived."""
        wait_until(lambda: len(self.received) >= count, f"{count} messages")
        return [bytes(message.payload) for message in self.received]


@contextmanager
def connected(port: int, login: Login, *, clean: bool = False) -> Generator[MqttClient]:
    """Connect with a session that outlives the connection, and leave as a good client does."""
    client = Client(
        CallbackAPIVersion.VERSION2, login.client_id, protocol=MQTTProtocolVersion.MQTTv5
    )
    seen = MqttClient(client)
    client.on_connect = lambda _client, _data, flags, reason, properties: setattr(
        seen, "greeting", (reason, flags, properties)
    )
    client.on_message = lambda _client, _data, message: seen.take(message)
    seen.reading.set()
    client.on_subscribe = lambda _client, _data, number, codes, _properties: seen.granted.update(
        {number: codes}
    )
    client.username_pw_set(login.user, login.password)
    if login.tls is not None:
        client.tls_set_context(login.tls)  # pyright: ignore[reportUnknownMemberType] -- untyped
    client.connect(LOOPBACK, port, clean_start=clean, properties=_session(login))
    client.loop_start()
    try:
        wait_until(lambda: seen.greeting is not None, "CONNACK")
        yield seen
    finally:
        seen.reading.set()
        client.disconnect()
        client.loop_stop()


def _session(login: Login) -> Properties:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = SESSION_SECONDS
    properties.ReceiveMaximum = login.receive_maximum
    return properties


def _remember(
    codes: dict[int, ReasonCode],
) -> Callable[[Client, object, int, ReasonCode, Properties], None]:
    def on_publish(
        _client: Client, _data: object, number: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        codes[number] = reason

    return on_publish

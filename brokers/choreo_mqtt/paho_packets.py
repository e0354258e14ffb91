"""paho's packets without its socket: a state machine that reads from a pipe and writes into it."""

from collections.abc import Callable
from typing import cast

from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.properties import Properties
from typing_extensions import override

from choreo_mqtt.publish_packet import MalformedPublish, read_publish
from choreo_mqtt.wire import QOS, Opening, Session


class Packets(Paho):
    """paho's state machine on a pipe, with PUBLISH packets read by ourselves."""

    def __init__(self, pipe: "Pipe", session: Session, on_pong: Callable[[], None]) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, protocol=MQTTv5, manual_ack=True)
        self._pipe = pipe
        self._session = session
        self._on_pong = on_pong
        # The window is the publisher's; without a limit paho neither queues nor searches its queue.
        self.max_inflight_messages_set(0)

    def introduce(self, opening: Opening, properties: Properties) -> None:
        """Queue the CONNECT packet."""
        self._client_id = opening.client_id.encode()
        if opening.username is not None or opening.password is not None:
            secret = opening.password.get_secret_value() if opening.password else None
            self.username_pw_set(opening.username or "", secret)
        self.connect(
            opening.host,
            opening.port,
            keepalive=max(1, int(opening.keepalive.total_seconds())),
            clean_start=opening.clean_start,
            properties=properties,
        )

    @property
    def midway(self) -> bool:
        """Whether a packet has come in part."""
        return self._in_packet["command"] != 0

    def ping(self) -> None:
        """Queue a PINGREQ; paho's own keep-alive would give up a connection that is not read."""
        self._send_pingreq()

    @override
    def _create_socket(self) -> "Pipe":
        return self._pipe

    @override
    def _handle_publish(self) -> MQTTErrorCode:
        try:
            incoming = read_publish(self._in_packet["command"] & 0x0F, self._in_packet["packet"])
        except MalformedPublish as error:
            raise MalformedPacket(str(error)) from error
        if incoming.qos > QOS:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        self._session.received(incoming)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    @override
    def _handle_pingresp(self) -> MQTTErrorCode:
        self._on_pong()
        return super()._handle_pingresp()

    @override
    def _handle_on_message(self, message: MQTTMessage) -> None:
        raise NotImplementedError("PUBLISH packets are read in _handle_publish")


class Pipe:
    """What paho takes for its socket: bytes in memory, read on demand and collected for writing."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._out: list[bytes] = []

    @property
    def waiting(self) -> bool:
        """Whether there is anything to read."""
        return self._at < len(self._data)

    def feed(self, data: bytes) -> None:
        """Add what has come from the network."""
        self._data = self._data[self._at :] + data if self.waiting else data
        self._at = 0

    def drain(self) -> bytes:
        """Take what is to go to the network."""
        out, self._out = self._out, []
        return b"".join(out)

    def recv(self, buffer_size: int) -> bytes:
        at = self._at
        data = self._data[at : at + buffer_size]
        if not data:
            raise BlockingIOError
        self._at = at + len(data)
        return data

    def send(self, buffer: bytes | bytearray) -> int:
        self._out.append(bytes(buffer))
        return len(buffer)

    def close(self) -> None:
        """Do nothing: the transport is asyncio's."""

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 -- the socket's signature
        """Do nothing: a pipe never blocks."""


class PackedProperties(Properties):
    """Properties that were encoded before."""

    def __init__(self, packed: bytes) -> None:
        object.__setattr__(self, "packed", packed)

    @override
    def pack(self) -> bytes:
        return cast("bytes", object.__getattribute__(self, "packed"))

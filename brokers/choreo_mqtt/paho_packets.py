"""paho's packets without its socket: a state machine that reads from a pipe and writes into it."""

from collections.abc import Callable
from datetime import timedelta
from typing import cast

from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from typing_extensions import override

from choreo.errors import ConfigurationError, ConnectionLost
from choreo_mqtt.publish_packet import MalformedPublish, read_publish
from choreo_mqtt.wire import QOS, Opening, Session, Welcome

NOT_OURS_TO_RETRY = {0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x95, 0x9A, 0x9B}
"""CONNACK codes that waiting does not mend (§3.2.2.2): credentials, client id, protocol."""


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


def refusal(where: str, reason: ReasonCode) -> ConnectionLost | ConfigurationError:
    """Say by its class whether waiting may mend it."""
    text = f"{where} refuses us: {reason}"
    return ConfigurationError(text) if reason.value in NOT_OURS_TO_RETRY else ConnectionLost(text)


def welcome(connack: Properties | None, *, session_present: bool) -> Welcome:
    """Read what the broker tells of itself."""
    said = cast("dict[str, int]", connack.json()) if connack else {}
    keepalive = said.get("ServerKeepAlive")
    expiry = said.get("SessionExpiryInterval")
    return Welcome(
        session_present=session_present,
        receive_maximum=said.get("ReceiveMaximum", 65535),
        maximum_packet_size=said.get("MaximumPacketSize"),
        maximum_qos=said.get("MaximumQoS", 2),
        retain_available=bool(said.get("RetainAvailable", 1)),
        keepalive=None if keepalive is None else timedelta(seconds=keepalive),
        session_expiry=None if expiry is None else timedelta(seconds=expiry),
    )

"""paho's packets without its socket: a state machine that reads from a pipe and writes into it.

PUBLISH and PUBACK, all that comes by the thousand, pass it by, as paho spends a tenth of a
millisecond on each; what opens, holds and ends a connection is paho's.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Literal, cast

from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from typing_extensions import override

from choreo.errors import ConfigurationError, ConnectionLost
from choreo_mqtt.publish_packet import (
    MORE,
    PUBACK,
    PUBLISH,
    MalformedPublish,
    pack_puback,
    read_puback,
    read_publish,
)
from choreo_mqtt.wire import QOS, Opening, Outgoing, Session, Welcome

NOT_OURS_TO_RETRY = {0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x95, 0x9A, 0x9B}
"""CONNACK codes that waiting does not mend (§3.2.2.2): credentials, client id, protocol."""


class Packets(Paho):
    """paho's state machine on a pipe, with PUBLISH packets read by ourselves."""

    def __init__(self, pipe: "Pipe", session: Session, on_pong: Callable[[], None]) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, protocol=MQTTv5, manual_ack=True)
        self._pipe = pipe
        self._session = session
        self._on_pong = on_pong

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

    def send_subscribe(self, asked: list[tuple[str, SubscribeOptions]]) -> int | None:
        """Send a SUBSCRIBE before all that is sent from now on; tell its packet id."""
        _, mid = self.subscribe(asked)
        self.loop_write()  # paho queues it, and what passes paho by would overtake it there
        return mid

    def send_publish(self, outgoing: Outgoing) -> int:
        """Send a PUBLISH; tell its packet id, which no SUBSCRIBE on its way has, either."""
        mid = self._mid_generate()
        self._pipe.put((outgoing.head, mid.to_bytes(2), outgoing.properties, outgoing.body))
        return mid

    def send_pubacks(self, mids: Sequence[int]) -> None:
        """Accept messages, in their order."""
        self._pipe.put([pack_puback(mid) for mid in mids])

    def read_one(self) -> None:
        """Read a packet, or what there is of it."""
        frame = None if self.midway else self._pipe.frame()
        if frame is None or not self._take(*frame):
            self.loop_read()  # what is unusual, or cut off, is for paho to judge
        else:
            self._pipe.skip()

    def _take(self, first: int, packet: bytes | bytearray) -> bool:
        """Hand on a PUBLISH or a PUBACK; False for anything else, and for what is not sound."""
        kind = first & 0xF0
        if kind == PUBACK:
            answer = read_puback(packet)
            if answer is not None:
                mid, code = answer
                self._session.acknowledged(mid, code, _reason(code) if code else "")
            return answer is not None
        if kind == PUBLISH:
            try:
                incoming = read_publish(first & 0x0F, packet)
            except MalformedPublish:
                return False
            if incoming.qos <= QOS:
                self._session.received(incoming)
                return True
        return False

    @override
    def _create_socket(self) -> "Pipe":
        return self._pipe

    @override
    def _handle_publish(self) -> MQTTErrorCode:
        return self._collected()

    @override
    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        return self._collected()

    def _collected(self) -> MQTTErrorCode:
        """Take a packet that came in pieces, or is not sound."""
        if self._take(self._in_packet["command"], self._in_packet["packet"]):
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return MQTTErrorCode.MQTT_ERR_PROTOCOL

    @override
    def _handle_pingresp(self) -> MQTTErrorCode:
        self._on_pong()
        return super()._handle_pingresp()

    @override
    def _handle_on_message(self, message: MQTTMessage) -> None:
        raise NotImplementedError("PUBLISH packets are handed on by _take")


class Pipe:
    """What paho takes for its socket: bytes in memory, read on demand and collected for writing."""

    def __init__(self) -> None:
        self._data = b""
        self._at = self._behind = 0
        self._out: list[bytes] = []

    @property
    def waiting(self) -> bool:
        """Whether there is anything to read."""
        return self._at < len(self._data)

    def feed(self, data: bytes) -> None:
        """Add what has come from the network."""
        self._data = self._data[self._at :] + data if self.waiting else data
        self._at = 0

    def frame(self) -> tuple[int, bytes] | None:
        """Look at the next packet, its first byte and what its length counts; None if it is cut."""
        data, at = self._data, self._at + 1
        length = shift = 0
        for byte in data[at : at + 4]:
            at += 1
            length |= (byte & 0x7F) << shift
            if byte < MORE:
                break
            shift += 7
        else:
            return None
        self._behind = at + length
        if self._behind > len(data):
            return None
        return data[self._at], data[at : self._behind]

    def skip(self) -> None:
        """Go on behind the packet that was looked at."""
        self._at = self._behind

    def put(self, parts: Sequence[bytes]) -> None:
        """Add to what is to go to the network."""
        self._out.extend(parts)

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


@cache
def _reason(code: int) -> str:
    try:
        return str(ReasonCode(PacketTypes.PUBACK, identifier=code))
    except KeyError:  # of a later standard, or none
        return f"reason code 0x{code:02X}"


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

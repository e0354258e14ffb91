"""A small MQTT 5 broker that is as strict as the standard allows, and misbehaves on request."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from choreo_mqtt.publish_packet import read_publish, varint
from choreo_mqtt.wire import Incoming
from tests.patience import patient

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE = 8, 9, 10
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14
BAD_ORDER = 0x82


def text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2) + encoded


def user_property(name: str, value: bytes) -> bytes:
    return b"\x26" + text(name) + len(value).to_bytes(2) + value


@dataclass(eq=False)
class Connection:
    """One client's connection, and what it did."""

    broker: "FakeBroker"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    client_id: str = ""
    clean_start: bool = False
    receive_maximum: int = 65535
    filters: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    published: list[Incoming] = field(default_factory=list[Incoming])
    acked: list[int] = field(default_factory=list[int])
    unacked: list[int] = field(default_factory=list[int])
    pings: int = 0
    goodbye: bytes | None = None
    violation: str | None = None

    def send(self, kind: int, body: bytes, flags: int = 0) -> None:
        self.writer.write(bytes((kind << 4 | flags,)) + varint(len(body)) + body)

    def deliver(
        self, mid: int, topic: str = "t", body: bytes = b"", properties: bytes = b"", flags: int = 2
    ) -> None:
        """Send a PUBLISH; flags 2 is QoS 1, 3 is QoS 1 and retained, 0 is QoS 0."""
        packet_id = mid.to_bytes(2) if flags & 6 else b""
        if packet_id:
            self.unacked.append(mid)
        self.send(
            PUBLISH, text(topic) + packet_id + varint(len(properties)) + properties + body, flags
        )

    def answer(self, mid: int, code: int) -> None:
        self.send(PUBACK, mid.to_bytes(2) + (bytes((code, 0)) if code else b""))

    def disconnect(self, code: int) -> None:
        self.send(DISCONNECT, bytes((code, 0)))
        self.writer.close()

    def cut(self) -> None:
        self.writer.transport.abort()

    def hang_up(self) -> None:
        self.writer.close()


class FakeBroker:
    """Listens on loopback; its attributes say how it behaves, its connections what it saw."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.session_present: Callable[[Connection], bool] = lambda _: False
        self.connect_code = 0
        self.connack_properties = b""
        self.grant: Callable[[str], int] = lambda _: 1
        self.answer: Callable[[Incoming], int | None] = lambda _: 0
        self.greet: Callable[[Connection], None] = lambda _: None
        self.answers_pings = True
        self.answers_subscribe = True
        self._changed = asyncio.Condition()
        self._port = 0

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncGenerator[Self]:
        broker = cls()
        server = await asyncio.start_server(broker._serve, "127.0.0.1", 0)
        broker._port = server.sockets[0].getsockname()[1]
        try:
            yield broker
        finally:
            server.close()
            for connection in broker.connections:
                connection.cut()
            await broker._settled()
            await server.wait_closed()

    def url(self, **options: object) -> str:
        defaults: dict[str, object] = {
            "publish_timeout": 0.3,
            "connect_timeout": 1,
            "reconnect_delay": 0.01,
            "reconnect_delay_max": 0.05,
            "close_timeout": 0.3,
        }
        query = "&".join(f"{name}={value}" for name, value in (defaults | options).items())
        return f"mqtt://127.0.0.1:{self._port}?{query}"

    @property
    def consumers(self) -> Sequence[Connection]:
        """Connections that keep a session, oldest first."""
        return [each for each in self.connections if each.client_id and not each.clean_start]

    @property
    def publishers(self) -> Sequence[Connection]:
        """Connections without a session, oldest first."""
        return [each for each in self.connections if each.client_id and each.clean_start]

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once *condition* holds, looking after each packet."""
        async with asyncio.timeout(patient(5)), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    async def _settled(self) -> None:
        async with asyncio.timeout(patient(5)), self._changed:
            await self._changed.wait_for(
                lambda: all(each.reader.at_eof() for each in self.connections)
            )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self.connections.append(connection)
        try:
            while True:
                kind, flags, body = await _packet(reader)
                self._handle(connection, kind, flags, body)
                async with self._changed:
                    self._changed.notify_all()
        except (asyncio.IncompleteReadError, OSError):
            reader.feed_eof()
        finally:
            writer.close()
            async with self._changed:
                self._changed.notify_all()

    def _handle(self, connection: Connection, kind: int, flags: int, body: bytes) -> None:
        if kind == CONNECT:
            self._connect(connection, body)
        elif kind == SUBSCRIBE:
            self._subscribe(connection, body)
        elif kind == PUBLISH:
            incoming = read_publish(flags, body)
            connection.published.append(incoming)
            code = self.answer(incoming)
            if code is not None:
                connection.answer(incoming.mid, code)
        elif kind == PUBACK:
            self._acknowledged(connection, int.from_bytes(body[:2]))
        elif kind == PINGREQ:
            connection.pings += 1
            if self.answers_pings:
                connection.send(PINGRESP, b"")
        elif kind == DISCONNECT:
            connection.goodbye = body
            connection.writer.close()

    def _connect(self, connection: Connection, body: bytes) -> None:
        assert body[:7] == b"\x00\x04MQTT\x05", "speaks MQTT 5"
        connection.clean_start = bool(body[7] & 2)
        length, at = body[10], 11
        end = at + length
        while at < end:
            kind = body[at]
            size = {0x11: 4, 0x21: 2}[kind]
            value = int.from_bytes(body[at + 1 : at + 1 + size])
            if kind == 0x21:
                connection.receive_maximum = value
            at += 1 + size
        size = int.from_bytes(body[end : end + 2])
        connection.client_id = body[end + 2 : end + 2 + size].decode()
        present = self.session_present(connection)
        properties = varint(len(self.connack_properties)) + self.connack_properties
        connection.send(CONNACK, bytes((present, self.connect_code)) + properties)
        if self.connect_code:
            connection.writer.close()
        else:
            self.greet(connection)

    def _subscribe(self, connection: Connection, body: bytes) -> None:
        at = 3 + body[2]
        names: list[str] = []
        while at < len(body):
            size = int.from_bytes(body[at : at + 2])
            name = body[at + 2 : at + 2 + size].decode()
            names.append(name)
            connection.filters.append((name, body[at + 2 + size]))
            at += 3 + size
        if self.answers_subscribe:
            codes = bytes(self.grant(name) for name in names)
            connection.send(SUBACK, body[:2] + b"\x00" + codes)

    def _acknowledged(self, connection: Connection, mid: int) -> None:
        if connection.unacked[:1] != [mid]:
            connection.violation = f"acknowledged {mid}, due was {connection.unacked[:1]}"
            connection.disconnect(BAD_ORDER)
            return
        connection.unacked.pop(0)
        connection.acked.append(mid)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return first >> 4, first & 15, await reader.readexactly(length)

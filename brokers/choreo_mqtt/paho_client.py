"""paho-mqtt 2 behind the inner port: asyncio owns the socket, paho only the packets.

Theory of operation.  paho believes in a socket of its own; it is given a pipe instead.  What
asyncio's transport receives is laid into the pipe and read by paho from there, what paho sends
collects in the pipe and is written once per turn of the loop.  So name lookup, TLS, cancellation
and back-pressure are asyncio's, one system call carries many packets, nothing runs in another
thread, and nothing blocks.

paho's own keep-alive, reconnecting, queueing and resending are not used: a client lives for one
connection, the link above it pings, and the publisher above it never hands over more than may be in
flight.  PUBLISH packets and their answers are read and written by ``publish_packet``.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from paho.mqtt.client import Client as Paho
from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from typing_extensions import override

from choreo.errors import ConfigurationError, ConnectionLost
from choreo.failpoints import reached
from choreo_mqtt.paho_packets import Packets, Pipe, refusal, welcome
from choreo_mqtt.wire import (
    QOS,
    Client,
    Connect,
    Filter,
    Loss,
    Opening,
    Outgoing,
    Session,
)

logger = logging.getLogger(__name__)


async def connect(opening: Opening, session: Session) -> Client:
    """Open a connection and return it once the broker has welcomed us.

    Raises ConnectionLost, or ConfigurationError if the broker refuses us for good.
    """
    loop = asyncio.get_running_loop()
    where = f"{opening.host}:{opening.port}"
    client = PahoClient(opening, session)
    try:
        async with asyncio.timeout(opening.timeout.total_seconds()):
            await loop.create_connection(
                lambda: client, opening.host, opening.port, ssl=opening.tls
            )
            await client.established
    except TimeoutError as error:
        client.abort("it took too long to connect")
        raise ConnectionLost(f"no welcome from {where} within {opening.timeout}") from error
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(
            f"{where} shows a certificate that is not trusted: {error}"
        ) from error
    except OSError as error:
        raise ConnectionLost(f"cannot connect to {where}: {error}") from error
    except BaseException:
        client.abort("connecting was given up")
        raise
    return client


class PahoClient(asyncio.Protocol):
    """One connection: the protocol of an asyncio transport, with paho's state machine inside."""

    def __init__(self, opening: Opening, session: Session) -> None:
        self._loop = asyncio.get_running_loop()
        self._session = session
        self._opening = opening
        self._where = f"{opening.host}:{opening.port}"
        self._transport: asyncio.Transport | None = None
        self._pipe = Pipe()
        self._packets = Packets(self._pipe, session, self._on_pong)
        self._opened = self._leaving = self._paused = self._congested = self._scheduled = False
        self._heard = 0
        self._keepalive = opening.keepalive
        self._granted: dict[int, asyncio.Future[Sequence[int]]] = {}
        self._pings: deque[asyncio.Future[None]] = deque()
        self.established: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[Loss] = self._loop.create_future()
        self._packets.on_connect = self._on_connect
        self._packets.on_disconnect = self._on_disconnect
        self._packets.on_subscribe = self._on_subscribe
        self._packets.on_socket_register_write = self._on_packets_waiting

    # -- the port -----------------------------------------------------------------------------

    @property
    def ended(self) -> asyncio.Future[Loss]:
        return self._ended

    @property
    def keepalive(self) -> timedelta:
        return self._keepalive

    @property
    def congested(self) -> bool:
        return self._congested

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def heard(self) -> int:
        return self._heard

    def publish(self, outgoing: Outgoing, /) -> int:
        mid = self._packets.send_publish(outgoing)
        self._on_packets_waiting()
        return mid

    def subscribe(self, filters: Sequence[Filter], /) -> asyncio.Future[Sequence[int]]:
        # Retain As Published stays off: then the flag on a delivery means a kept value, and a live
        # message that was published with it cannot be mistaken for one and dropped.
        asked = [
            (each.name, SubscribeOptions(qos=QOS, retainHandling=each.retained.value))
            for each in filters
        ]
        granted: asyncio.Future[Sequence[int]] = self._loop.create_future()
        mid = self._packets.send_subscribe(asked)
        if mid is None or self._ended.done():
            granted.cancel()
        else:
            self._granted[mid] = granted
        return granted

    def acknowledge(self, mids: Sequence[int], /) -> None:
        reached("acknowledging")
        self._packets.send_pubacks(mids)
        self._on_packets_waiting()
        self._loop.call_soon(reached, "acknowledged")  # the packets go out before that

    def ping(self) -> asyncio.Future[None]:
        answered: asyncio.Future[None] = self._loop.create_future()
        if self._ended.done():
            answered.cancel()
        else:
            self._pings.append(answered)
            self._packets.ping()
        return answered

    def pause(self) -> None:
        self._paused = True
        if self._transport is not None and not self._leaving:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and not self._leaving and not self._ended.done():
            self._paused = False
            self._loop.call_soon(self._resume)

    async def disconnect(self, timeout: timedelta, *, forget: bool = False) -> None:
        if self._transport is None or self._ended.done():
            return
        properties = None
        if forget:
            properties = Properties(PacketTypes.DISCONNECT)
            properties.SessionExpiryInterval = 0
        self._leaving = True
        self._packets.disconnect(properties=properties)
        self._write()
        # What still comes is read and thrown away until the broker hangs up: closing a socket with
        # unread data resets the connection, and the broker could miss our last acknowledgements.
        self._transport.resume_reading()
        try:
            await asyncio.wait({self._ended}, timeout=timeout.total_seconds())
        finally:
            self.abort("said goodbye")

    def abort(self, text: str, /) -> None:
        self._end(Loss(text=text))

    # -- what asyncio calls -------------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._ended.done():
            transport.abort()  # type: ignore[attr-defined]  # it is a Transport, see above
            return
        opening = self._opening
        _detect_dead_peer(transport, opening.keepalive)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = int(opening.session_expiry.total_seconds())
        properties.ReceiveMaximum = opening.receive_maximum
        self._packets.introduce(opening, properties)
        self._write()

    @override
    def data_received(self, data: bytes) -> None:
        self._heard += 1
        if not self._leaving:
            self._pipe.feed(data)
            self._read()

    @override
    def pause_writing(self) -> None:
        self._congested = True

    @override
    def resume_writing(self) -> None:
        self._congested = False
        if self._opened and not self._ended.done():
            self._session.writable()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        text = f"connection to {self._where} broke: {exc}" if exc else f"{self._where} hung up"
        silent = exc is None and not self._leaving and not self._packets.midway
        self._end(Loss(text=text, silent=silent))

    # -- moving packets -----------------------------------------------------------------------

    def _resume(self) -> None:
        self._read()
        if not self._paused and self._transport is not None and not self._ended.done():
            self._transport.resume_reading()

    def _read(self) -> None:
        try:
            while self._pipe.waiting and not (self._paused or self._leaving or self._ended.done()):
                self._packets.read_one()
        except Exception as error:  # a task boundary: a bug here must not leave a deaf client (M17)
            logger.exception("reading from the broker failed", extra={"broker": self._where})
            self._end(Loss(text=f"reading from {self._where} failed: {error!r}"))

    def _on_packets_waiting(self, *_: object) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._scheduled = False
        self._packets.loop_write()
        if self._transport is not None and not self._ended.done():
            self._transport.write(self._pipe.drain())

    # -- what paho calls ----------------------------------------------------------------------

    def _on_connect(
        self,
        _: Paho,
        _data: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        connack: Properties | None,
    ) -> None:
        if self.established.done():
            return
        if reason.is_failure:
            self.established.set_exception(refusal(self._where, reason))
            return
        self._opened = True
        said = welcome(connack, session_present=flags.session_present)
        if said.keepalive:
            self._keepalive = said.keepalive
        self._session.opened(self, said)
        self.established.set_result(None)

    def _on_disconnect(
        self,
        _: Paho,
        _data: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _why: Properties | None,
    ) -> None:
        if self._leaving:
            return
        if flags.is_disconnect_packet_from_server:
            text = f"{self._where} disconnected us: {reason}"
            self._end(Loss(text=text, code=reason.value))
        else:
            self._end(Loss(text=f"{self._where} broke the protocol"))

    def _on_subscribe(
        self, _: Paho, _data: object, mid: int, reasons: list[ReasonCode], _why: Properties | None
    ) -> None:
        granted = self._granted.pop(mid, None)
        if granted is not None and not granted.done():
            granted.set_result([reason.value for reason in reasons])

    def _on_pong(self) -> None:
        if self._pings:
            answered = self._pings.popleft()
            if not answered.done():
                answered.set_result(None)

    def _end(self, loss: Loss) -> None:
        if self._ended.done():
            return
        self._ended.set_result(loss)
        if self._transport is not None:
            self._transport.abort()
        for granted in self._granted.values():
            granted.cancel()
        for answered in self._pings:
            answered.cancel()
        if not self.established.done():
            self.established.set_exception(ConnectionLost(loss.text))
            # Whoever opens may have been cancelled and never look.
            self.established.exception()
        if self._opened:
            self._session.closed(loss)


def _detect_dead_peer(transport: asyncio.BaseTransport, keepalive: timedelta) -> None:
    """Let the kernel give up a peer that takes no data: a paused client sees no answers."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int(keepalive.total_seconds() * 1500)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


_: Connect = connect

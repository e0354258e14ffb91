"""The inner port: one MQTT 5 connection as the rest of this adapter needs it.

A client lives from CONNECT to the end of its connection and is never used again: reconnecting makes
a new one, so that nothing of a dead connection (packet ids, queued publishes, a stuck state
machine) can reach the next.  All of it runs on the event loop; no callback ever comes from another
thread.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import NamedTuple, Protocol

from pydantic import SecretStr

from choreo.message import Header

QOS = 1
"""The only quality of service spoken: 0 loses, and 2 acknowledges before the handler ran (M2)."""

REFUSED = 0x80
"""First reason code that says no (OASIS MQTT 5.0 §2.4)."""
NO_SUBSCRIBERS = 0x10
SESSION_TAKEN_OVER = 0x8E


class Retained(Enum):
    """Which kept values a broker sends for a filter: Retain Handling, MQTT 5.0 §3.8.3.1."""

    ALWAYS = 0
    IF_NEW = 1
    NEVER = 2


class Filter(NamedTuple):
    """One entry of a SUBSCRIBE."""

    name: str
    retained: Retained


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What one connection is opened with."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    username: str | None
    password: SecretStr | None
    client_id: str
    clean_start: bool
    session_expiry: timedelta
    receive_maximum: int
    keepalive: timedelta
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What the broker said in its CONNACK."""

    session_present: bool
    receive_maximum: int = 65535
    maximum_packet_size: int | None = None
    maximum_qos: int = 2
    retain_available: bool = True
    keepalive: timedelta | None = None
    session_expiry: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """How a connection ended."""

    text: str
    code: int | None = None
    """Reason code of the broker's DISCONNECT, if it sent one."""
    silent: bool = False
    """The broker hung up in good order, between two packets, without giving a reason."""


class Incoming(NamedTuple):
    """One PUBLISH from the broker. Headers begin with the Content Type, if there is one."""

    topic: str
    body: bytes
    headers: tuple[Header, ...]
    mid: int
    qos: int
    retain: bool
    size: int
    """Bytes of the packet."""


class Outgoing(NamedTuple):
    """One PUBLISH to the broker, checked and encoded; its packet id comes behind its head."""

    topic: str
    head: bytes
    properties: bytes
    body: bytes
    retain: bool
    size: int
    """Bytes of the packet."""


class Session(Protocol):
    """What hears from a client; called on the event loop, in the order of the wire."""

    def opened(self, client: "Client", welcome: Welcome, /) -> None:
        """Take note that *client* is connected; called before anything else of it."""
        ...

    def received(self, incoming: Incoming, /) -> None:
        """Take one message."""
        ...

    def acknowledged(self, mid: int, code: int, text: str, /) -> None:
        """Take the broker's word on the publish *mid*: a reason code and its text."""
        ...

    def writable(self) -> None:
        """Take note that the connection takes data again."""
        ...

    def closed(self, loss: Loss, /) -> None:
        """Take note that the connection is gone; called once for each ``opened``."""
        ...


class Client(Protocol):
    """One connection."""

    @property
    def ended(self) -> "asyncio.Future[Loss]":
        """Done when the connection is gone."""
        ...

    @property
    def keepalive(self) -> timedelta:
        """How long we may be silent: what we proposed, or what the broker put in its place."""
        ...

    @property
    def congested(self) -> bool:
        """Whether more publishes would only pile up in memory."""
        ...

    @property
    def paused(self) -> bool:
        """Whether nothing is read, pings' answers included."""
        ...

    @property
    def heard(self) -> int:
        """Count the times that bytes have come in."""
        ...

    def publish(self, outgoing: Outgoing, /) -> int:
        """Send *outgoing* and tell its packet id; the answer comes by ``acknowledged``."""
        ...

    def subscribe(self, filters: Sequence[Filter], /) -> "asyncio.Future[Sequence[int]]":
        """Subscribe at QoS 1; the future holds one reason code per filter, or is cancelled."""
        ...

    def acknowledge(self, mids: Sequence[int], /) -> None:
        """Send a PUBACK for each of *mids*, in their order; nothing if the connection is gone."""
        ...

    def ping(self) -> "asyncio.Future[None]":
        """Send a PINGREQ; the future is done when it is answered, or cancelled."""
        ...

    def pause(self) -> None:
        """Read nothing from now on; what has come stays where it is."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    async def disconnect(self, timeout: timedelta, *, forget: bool = False) -> None:
        """Send what is due, say goodbye and close, within *timeout*; *forget* ends the session."""
        ...

    def abort(self, text: str, /) -> None:
        """Cut the connection now."""
        ...


Connect = Callable[[Opening, Session], Awaitable[Client]]
"""Open a client, welcomed by the broker, or raise ConnectionLost, or ConfigurationError when the
broker refuses us in a way that waiting does not mend."""

"""The port every adapter implements, and how an adapter is found by its URL."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Literal, Protocol, Self
from urllib.parse import urlsplit

from choreo.errors import ConfigurationError
from choreo.message import Delivery, Message
from choreo.plugins import installed


class Binding(Enum):
    """How CloudEvents attributes are spelt as headers on this transport.

    The values are the attribute prefixes of the CloudEvents Kafka and MQTT protocol bindings.
    """

    KAFKA = "ce_"
    MQTT = ""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What an adapter can do; the contract kit tests each declared one and no other."""

    binding: Binding
    system: str
    """Value of ``messaging.system`` in telemetry."""
    keys: bool
    """Messages carry a key natively, and order is kept per key."""
    durable: bool
    """An accepted message survives a restart of the broker."""
    resumes: bool
    """A consumer that died and came back is handed what it had not settled."""
    groups: bool
    """Several consumers of one group share its streams, and take over from each other."""
    binary_headers: bool
    """Header values are any bytes, or absent; otherwise they are UTF-8 text."""
    tombstones: bool
    """A body may be absent, as distinct from empty."""
    topic_levels: bool
    """Topics are hierarchical: a template is filled per event and subscribed with wildcards."""
    retained: bool
    """The broker keeps a topic's last message on request and hands it to later subscribers."""
    browsable: bool
    """Past messages of a topic can be read again."""
    max_message_bytes: int | None = None
    """Largest message the adapter is set up to send, where it is known."""
    remembers: bool = True
    """What was settled above an unsettled delivery is not handed over again after a restart."""
    tells_outages: bool = False
    """A consumer that hears nothing from its broker any more says so, and when it does again."""
    in_process: bool = False
    """It lives in this process: others that open its URL meet a broker of their own."""


@dataclass(frozen=True)
class TopicFilter:
    """One topic, or one filter over topics, that a subscription asks for."""

    name: str
    retained: bool = False
    """Hand over the values the broker has kept, too."""
    fresh: bool = False
    """Browsing with *follow* only: leave out what is there, begin with what comes."""


@dataclass(frozen=True, kw_only=True)
class TopicSpec:
    """What a service expects of a topic before it starts."""

    name: str
    partitions: int | None = None
    """Number of partitions to create it with, or None for the adapter's default."""
    create: bool = False
    """Create it when it is missing; otherwise a missing topic is a ConfigurationError."""


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """What a consumer wants: one group's share of some topics."""

    group: str
    topics: tuple[TopicFilter, ...]
    start: Literal["earliest", "latest"] = "earliest"
    """Where a group begins that has never read a topic."""
    read_ahead: int = 500
    """Messages the adapter may hold that nobody has asked for yet."""
    read_ahead_bytes: int = 16 * 1024 * 1024
    max_span: int = 10_000
    """Positions between the oldest unsettled delivery of a stream and the newest handed over;
    a stream that reaches it rests until the oldest is settled."""
    drain: timedelta = timedelta(seconds=20)
    """How long unfinished work may take when streams are revoked or the consumer closes."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something an operator should know: counted, logged, never raised.

    An adapter that learns that it hears nothing from its broker any more says ``connection_lost``,
    and ``reconnected`` once it is connected and takes whatever comes: the time between the two is
    nobody's patience with what is missing.  One that never says so is taken to be connected.
    """

    kind: Literal[
        "session_lost",
        "gap",
        "rebuilt",
        "commit_failed",
        "revoked",
        "assigned",
        "taken_over",
        "connection_lost",
        "reconnected",
        "no_subscribers",
        "repartitioned",
        "sequence_gap",
        "parked",
        "handler_paused",
        "handler_resumed",
        "version_held",
    ]
    text: str
    streams: tuple[str, ...] = ()
    missing: int = field(default=0)
    """For a gap: how many positions are known to be gone."""
    unheard: float = 0.0
    """For a lost connection: seconds for which nothing had come by the time that was noticed."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where one stream stands."""

    stream: str
    settled: int
    """First position that is not settled yet."""
    handed: int
    """First position that has not been handed over yet."""
    end: int | None
    """First position that does not exist yet, where the broker tells."""


class Listener(Protocol):
    """What an adapter tells its consumer's owner."""

    async def revoking(self, streams: Collection[str], /) -> None:
        """Finish or drop all that came from *streams*; return when none of it is running.

        Called before the streams go to another consumer. The owner settles what it finished; the
        adapter then commits that and bumps the epoch, so that late results change nothing. Bounded
        by ``Subscription.drain`` on the adapter's side; never raises.
        """
        ...

    def notice(self, notice: Notice, /) -> None:
        """Take note of *notice*; never raises, never blocks."""
        ...


class Consumer(Protocol):
    """One member of a group. Everything handed over stays its responsibility until settled."""

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        """Wait for deliveries and hand over at least one and at most *limit* of them.

        Nobody reads ahead on the caller's behalf beyond ``read_ahead``: what is not asked for stays
        with the broker. Within a stream deliveries come in position order. An empty result says
        that the intake was stopped. Cancelling a poll loses nothing. Raises BrokerError when the
        subscription cannot go on without an operator (refused credentials, a client id in use).
        """
        ...

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        """Note that *deliveries* are done and must never be handed over again.

        Any order is fine: the adapter tells the broker only of the contiguous done prefix of each
        stream, soon and in the background, and remembers the rest. A settlement that the broker
        does not get is a redelivery, never a loss.
        """
        ...

    def stop_intake(self) -> None:
        """Hand over nothing more; a waiting poll returns empty. Deliveries stay valid."""
        ...

    async def flush(self) -> None:
        """Tell the broker of everything settled so far, as far as it can be reached."""
        ...

    def progress(self) -> Sequence[Progress]:
        """Say where each stream stands; cheap, no I/O."""
        ...


class Broker(Protocol):
    """One broker, reached by one client. Opened with ``async with``."""

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this adapter can do; known before it is opened."""
        ...

    async def __aenter__(self) -> Self:
        """Connect.

        Raises ConnectionLost if the broker cannot be reached, ConfigurationError if it refuses us.
        """
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Let go of every resource, within a bounded time, whatever state the broker is in."""
        ...

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        """Check that *topics* exist as expected, creating those that ask for it.

        Raises ConfigurationError naming every topic that is missing or different.
        """
        ...

    def horizon(self, topics: Sequence[str], /) -> timedelta | None:
        """Tell how long after its publication an event may be handed over again.

        ``timedelta.max`` is for ever; None where the broker does not tell. *topics* were prepared.
        """
        ...

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Return once the broker has accepted every message, in order within a key.

        Raises PublishError telling which were refused and of which nothing is known. What the
        capabilities do not declare (bytes in a header, no body, ``retain``) is refused unless it
        arrives unchanged all the same: nothing is dropped or replaced on the way. A key only says
        where a message belongs: without the capability ``keys`` it stays behind.
        """
        ...

    def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AbstractAsyncContextManager[Consumer]:
        """Join the group; on leaving, drop what is unsettled so that others are handed it.

        What is published after entering is handed over, whatever ``start`` says, and what was
        settled before leaving is not handed over again. Raises ConfigurationError on entering for
        what the capabilities do not declare (retained values, wildcards).
        """
        ...

    def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Read a topic from its beginning, unless it is *fresh*, in no group, settling nothing.

        Ends at what was the end on entry, or goes on for ever with *follow*. Where the capabilities
        say ``retained`` and not ``browsable``, the kept values are all there is to read; where they
        say neither, entering raises ConfigurationError.
        """
        ...


class BrokerFactory(Protocol):
    """What an entry point of the group ``choreo.brokers`` loads: usually the adapter's class."""

    def __call__(self, url: str, /) -> Broker:
        """Build the adapter for *url*; raise ConfigurationError for what it does not understand."""
        ...


GROUP = "choreo.brokers"


def open_broker(url: str) -> Broker:
    """Find the adapter that is registered for the scheme of *url* and build it, unopened.

    Raises ConfigurationError for an unknown scheme or an adapter whose client is not installed.
    """
    scheme = urlsplit(url).scheme
    if not scheme or "://" not in url:
        raise ConfigurationError(
            f"broker {url!r} has no scheme: write memory://, kafka://host:9092 or mqtt://host:1883"
        )
    found = installed(GROUP)
    if scheme not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigurationError(
            f"no adapter for {scheme}:// (installed: {known}): install the package that brings it, "
            f"or register '{scheme}' in the entry-point group {GROUP}"
        )
    try:
        factory: BrokerFactory = found[scheme].load()
    except ImportError as error:
        extra = scheme.split("+", maxsplit=1)[0].removesuffix("s")
        raise ConfigurationError(
            f"the adapter for {scheme}:// cannot be imported ({error}): install choreo[{extra}]"
        ) from error
    return factory(url)

"""One event on its way through one handler: the few facts that outlive an attempt."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from choreo.context import Context, Site
from choreo.delivery.numbering import Number, Numbered
from choreo.delivery.quarantine import Party
from choreo.envelope import Envelope
from choreo.event import Event
from choreo.gaps import Gaps
from choreo.message import Delivery, Message
from choreo.park import Park
from choreo.plan import Plan
from choreo.reason import Reason
from choreo.replay import Behind
from choreo.retry import Retry
from choreo.store.lot import Line, Ticket
from choreo.store.outbox import Emission
from choreo.store.port import Key, Lease

T = TypeVar("T")


class Rich(Protocol):
    """What may have rare attributes."""

    rare: dict[str, Any] | None
    """Those that differ from what nearly all have."""


class Rare(Generic[T]):
    """An attribute that few of a class's many objects have: the others need no room for it."""

    __slots__ = ("_default", "_name")

    def __init__(self, default: T) -> None:
        self._default = default

    def __set_name__(self, _: type[Rich], name: str) -> None:
        """Hear what it is called."""
        self._name = name

    def __get__(self, one: Rich, _: type[Rich]) -> T:
        """Tell the value, or what nearly all have."""
        rare = one.rare
        return self._default if rare is None else rare.get(self._name, self._default)

    def __set__(self, one: Rich, value: T) -> None:
        """Keep the value."""
        if one.rare is None:
            one.rare = {}
        one.rare[self._name] = value


class Outcome(Enum):
    """How one handler's share of an event ended."""

    HANDLED = "handled"
    FILTERED = "filtered"
    """The handler's ``when`` did not want it."""
    DUPLICATE = "duplicate"
    """The handler had finished the same event before."""
    DEAD_LETTERED = "dead_lettered"
    IGNORED = "ignored"
    """Nobody in this service handles its type, or it is foreign and not wanted."""
    EXPIRED = "expired"
    PARKED = "parked"
    """In the store, behind an event of its key that failed, or as that event."""
    LATE = "late"
    """Its number had been given up, and its handler wants none of those."""
    DROPPED = "dropped"
    """Given up unfinished, for another consumer: the broker hands it over again."""


class Received:
    """One delivery and the number of handlers that still owe it an end."""

    __slots__ = ("delivery", "dropped", "envelope", "flight", "owed", "parked", "rare", "size")

    suspect: Rare[bytes | None] = Rare(None)
    """Its 16 bytes if it may have killed a process."""
    party: Rare[Party | None] = Rare(None)
    """Beside whom it is handled, if it is suspect."""
    generation: Rare[int] = Rare(0)
    """Which replay from the dead letters it is; 0 for what its producer sent."""
    forced: Rare[bool] = Rare(False)  # noqa: FBT003 -- a default
    """It is handled although the event is done."""
    behind: Rare[Behind | None] = Rare(None)
    """The replay that it follows, until somebody has asked how that one ended."""

    def __init__(
        self,
        delivery: Delivery,
        envelope: Envelope | None,
        size: int,
        owed: int,
        *,
        parked: bool = False,
    ) -> None:
        self.delivery = delivery
        self.envelope = envelope
        self.size = size
        self.owed = owed
        self.dropped = False
        """Its stream went to another consumer, or the service stops: it must not be settled."""
        self.flight = 0
        """The flight that it is aboard of, where a flight log is kept."""
        self.parked = parked
        """It comes from the store, where it was parked, and not from the broker."""
        self.rare: dict[str, Any] | None = None


@dataclass(slots=True, eq=False)
class Drained:
    """Where a job comes from that was parked."""

    ticket: Ticket
    line: Line
    attempts: int = 0
    """Attempts from the lot that failed before this one."""
    buried: bool = False
    """Its whole line goes to the dead letters."""
    begun: bool = False
    """It was taken in, and not only read."""
    returned: "asyncio.Future[Outcome]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """Told how the job ended."""


class Job:
    """One handler's share of one delivery."""

    __slots__ = (
        "attempt",
        "done",
        "emitted",
        "ending",
        "fingerprint",
        "handler",
        "key",
        "lane",
        "line",
        "name",
        "order",
        "outbound",
        "parked",
        "rare",
        "reason",
        "received",
        "run",
    )

    troubles: Rare[int] = Rare(0)
    """Failures that were not the handler's: publishing, burying."""
    purpose: Rare[str | None] = Rare(None)
    """The business's own idempotency key, where the event's class names one."""
    lease: Rare[Lease | None] = Rare(None)
    """Held in the store while the handler runs, where it asked for one."""
    held: Rare[bool] = Rare(False)  # noqa: FBT003 -- a default
    """Resting until an outage is over."""
    buried: Rare[bool] = Rare(False)  # noqa: FBT003 -- a default
    """The broker has its dead letter."""
    error: Rare[BaseException | None] = Rare(None)
    first_failed: Rare[datetime | None] = Rare(None)
    """Wall time of the first failure."""
    trace: Rare[str | None] = Rare(None)
    """Trace context (a traceparent) of the last attempt that failed, where attempts are traced."""

    def __init__(
        self, received: Received, handler: "Handler | None", lane: Hashable, name: str = ""
    ) -> None:
        self.received = received
        self.handler = handler
        """None for what no handler can be found for: it only awaits its burial."""
        self.lane = lane
        self.name = name
        """What its end is remembered under, as a text; empty if a store, order or replay has a part
        in it."""
        self.attempt = self.run = 0
        self.done = False
        """The handler succeeded; what it emitted is to be published, or written with its end."""
        self.emitted: Sequence[Emission] = ()
        """All that the handler emitted, once it succeeded, as an outbox keeps it, if one does."""
        self.outbound: Sequence[Message] = ()
        """The same as messages, in the same order."""
        self.reason: Reason | None = None
        """Set once the job is to be buried."""
        self.key: Key | None = None
        """What its end is remembered under, once somebody has asked."""
        self.order: Numbered | None = None
        """Its place in a numbered stream, where its handler keeps one in order."""
        self.line: bytes | None = None
        """Where in the lot it would wait, once somebody has asked."""
        self.parked: Drained | None = None
        """Where it was parked, if it comes from there."""
        self.fingerprint: bytes | None = None
        """Of its payload, once a store has asked."""
        self.ending: Outcome | None = None
        """How it ended, while that is not written yet."""
        self.rare: dict[str, Any] | None = None

    @property
    def names(self) -> dict[str, object]:
        """What a log record says about it."""
        envelope, delivery = self.received.envelope, self.received.delivery
        return {
            "event_id": envelope.id if envelope else None,
            "event_type": envelope.type if envelope else None,
            "correlation_id": envelope.conversation if envelope else None,
            "handler": self.handler.plan.id if self.handler else None,
            "attempt": self.attempt,
            "topic": delivery.topic,
            "stream": delivery.stream,
            "position": delivery.position,
        }

    def told(self) -> Context:
        """Make what a handler may know of its present attempt, where it asks for nothing."""
        received, handler = self.received, self.handler
        brief = None if handler is None else handler.brief
        assert received.envelope is not None  # noqa: S101 -- only sorted events reach a handler
        assert brief is not None  # noqa: S101 -- only such a handler asks for nothing
        return Context(received.envelope, received.delivery, self.attempt, brief.site)

    @property
    def decided(self) -> bool:
        """Say whether the handler is through with it: only the books or the broker are awaited."""
        return self.reason is not None or self.done


Process = Callable[[Job], Awaitable[Outcome | None]]
"""Decode, filter, call and collect; None if the handler succeeded and its end is to be written."""


class Followed(Protocol):
    """An attempt that somebody follows."""

    def end(self, error: BaseException | None, /) -> None:
        """Hear that it ended, well or with *error*."""
        ...


Keep = Callable[[Context, object], tuple[Sequence[Emission], Sequence[Message]]]
"""Takes what an attempt returned and emitted, and writes it: for the outbox, and as messages.

Without an outbox the first is empty, unless somebody watches."""

Answer = Callable[[Envelope, object], Message | None]
"""Writes what a handler returned because of an event; None for what takes the long way."""


def nothing(_cause: Envelope, _result: object) -> None:
    """Write no answer the short way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What an attempt is made of where nobody but the handler has to be asked about an event."""

    read: Callable[[Envelope], Event | None]
    """Decode and filter; None for what the handler does not want."""
    invoke: Callable[[Event, Context], Awaitable[object]]
    keep: Keep
    """Take what the attempt returned and emitted, and write it."""
    site: Site
    """What the attempt's context is told."""
    ended: Site
    """What it is told when the attempt is over."""
    answer: Answer
    """Take what the attempt returned for all that it emits, where it is one event."""
    follow: Callable[[Job], Followed] | None = None
    alone: Callable[[Event], Awaitable[object]] | None = None
    """Calls a handler that asks for nothing but the event, if nobody else asks for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """The ways through one handler."""

    process: Process
    brief: Brief | None = None
    """None if a store has a part in its attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One composed handler."""

    plan: Plan
    index: int
    """Number within the service: a short name for its lanes."""
    retry: Retry
    deadline: timedelta
    seconds: float = field(init=False)
    """The deadline, as what is compared with a clock."""
    suffix: str = field(init=False)
    """Its number as the end of the text that its share of an event is remembered under."""
    process: Process = field(compare=False)
    """Takes one event through; newer versions of it go another way through the same handler."""
    brief: Brief | None = field(default=None, compare=False)
    """The same, of what needs nothing else; None where something else is always needed."""
    gaps: Gaps | None = None
    """How its numbered events are put in order; None if they have no numbers, or need not be."""
    number: Number | None = None
    """Reads an event's number, where events are put in order."""
    park: Park | None = None
    """How what fails waits in the store; None if it does not."""
    apart: bool = False
    """Its streams keep an order of their own: an event's key does not tell its stream."""

    def __post_init__(self) -> None:
        """Compute once what every attempt needs."""
        object.__setattr__(self, "seconds", self.deadline.total_seconds())
        object.__setattr__(self, "suffix", f"\0{self.index}")

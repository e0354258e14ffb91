"""One event on its way through one handler: the few facts that outlive an attempt."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from choreo.context import Emitted
from choreo.delivery.numbering import Number, Numbered
from choreo.delivery.quarantine import Party
from choreo.envelope import Envelope
from choreo.gaps import Gaps
from choreo.message import Delivery, Message
from choreo.park import Park
from choreo.plan import Plan
from choreo.reason import Reason
from choreo.replay import Behind
from choreo.retry import Retry
from choreo.store.lot import Line, Ticket
from choreo.store.port import Key, Lease


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


@dataclass(slots=True, eq=False)
class Received:
    """One delivery and the number of handlers that still owe it an end."""

    delivery: Delivery
    envelope: Envelope | None
    size: int
    owed: int
    dropped: bool = False
    """Its stream went to another consumer, or the service stops: it must not be settled."""
    flight: int = 0
    """The flight that it is aboard of, where a flight log is kept."""
    suspect: bytes | None = None
    """Its 16 bytes if it may have killed a process."""
    party: Party | None = None
    """Beside whom it is handled, if it is suspect."""
    generation: int = 0
    """Which replay from the dead letters it is; 0 for what its producer sent."""
    parked: bool = False
    """It comes from the store, where it was parked, and not from the broker."""
    forced: bool = False
    """It is handled although the event is done."""
    behind: Behind | None = None
    """The replay that it follows, until somebody has asked how that one ended."""


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


@dataclass(slots=True, eq=False)
class Job:
    """One handler's share of one delivery."""

    received: Received
    handler: "Handler | None"
    """None for what no handler can be found for: it only awaits its burial."""
    lane: Hashable
    attempt: int = 0
    """Attempts begun so far."""
    troubles: int = 0
    """Failures that were not the handler's: publishing, burying."""
    done: bool = False
    """The handler succeeded; what it emitted is to be published, or written with its end."""
    emitted: Sequence[Emitted] = ()
    """All that the handler emitted, once it succeeded."""
    outbound: Sequence[Message] = ()
    """The same as messages, in the same order."""
    purpose: str | None = None
    """The business's own idempotency key, where the event's class names one."""
    order: Numbered | None = None
    """Its place in a numbered stream, where its handler keeps one in order."""
    line: bytes | None = None
    """Where in the lot it would wait, once somebody has asked."""
    parked: Drained | None = None
    """Where it was parked, if it comes from there."""
    ending: Outcome | None = None
    """How it ended, while that is not written yet."""
    lease: Lease | None = None
    """Held in the store while the handler runs, where it asked for one."""
    held: bool = False
    """Resting until an outage is over."""
    reason: Reason | None = None
    """Set once the job is to be buried."""
    buried: bool = False
    """The broker has its dead letter."""
    error: BaseException | None = None
    first_failed: datetime | None = None
    """Wall time of the first failure."""
    trace: str | None = None
    """Trace context (a traceparent) of the last attempt that failed, where attempts are traced."""
    run: int = 0
    """Grows with every attempt and every abandonment, so that a late result is told apart."""
    key: Key | None = None
    """What its end is remembered under, once somebody has asked."""
    name: str = ""
    """The same as one text, of a job that no store, order or replay has a part in."""

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

    @property
    def decided(self) -> bool:
        """Say whether the handler is through with it: only the books or the broker are awaited."""
        return self.reason is not None or self.done


Process = Callable[[Job], Awaitable[Outcome | None]]
"""Decode, filter, call and collect; None if the handler succeeded and its end is to be written."""


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
    process: Process = field(compare=False)
    """Takes one event through; newer versions of it go another way through the same handler."""
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

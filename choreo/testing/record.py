"""What happened in a world: every message, every end and every failure, in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from choreo.broker import Notice
from choreo.delivery.job import Job, Outcome, Received
from choreo.delivery.journal import Journal
from choreo.envelope import Envelope
from choreo.message import Message
from choreo.testing.flight import Flight
from choreo.testing.observing import Audience


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed."""

    service: str
    handler: str
    """Id of the handler; empty for a record that no handler could be found for."""
    event_id: str
    attempt: int
    error: BaseException
    delay: float | None
    """Seconds until the next attempt; None if there was none."""


@dataclass(frozen=True, slots=True)
class End:
    """One handler's share of one event, ended."""

    service: str
    handler: str
    function: Callable[..., object] | None
    """What was registered; None for a record that no handler could be found for."""
    envelope: Envelope | None
    outcome: Outcome
    emitted: Sequence[Message]


@dataclass(slots=True)
class Record:
    """All that the journals of one world told."""

    messages: list[Message] = field(default_factory=list[Message])
    """What brokers accepted, dead letters included."""
    received: list[Received] = field(default_factory=list[Received])
    ends: list[End] = field(default_factory=list[End])
    failures: list[Failure] = field(default_factory=list[Failure])
    notices: list[tuple[str, Notice]] = field(default_factory=list[tuple[str, Notice]])
    observations: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """What stand-ins of the outside told, and of what."""

    def observed(self, text: str, key: str, /) -> None:
        """Keep what a stand-in of the outside tells."""
        self.observations.append((text, key))


class Watch:
    """The journal of one service."""

    def __init__(self, service: str, flight: Flight, record: Record) -> None:
        self._service = service
        self._flight = flight
        self._record = record

    def received(self, received: Received, /) -> None:
        """Count it as held."""
        self._record.received.append(received)
        self._flight.received(self._service, received)

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Keep the error, which nobody else may look at."""
        envelope = job.received.envelope
        self._record.failures.append(
            Failure(
                self._service,
                job.handler.plan.id if job.handler else "",
                envelope.id if envelope else "",
                job.attempt,
                error,
                delay,
            )
        )
        self._flight.failed(job)

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Keep the end."""
        plan = job.handler.plan if job.handler else None
        self._record.ends.append(
            End(
                self._service,
                plan.id if plan else "",
                plan.function if plan else None,
                job.received.envelope,
                outcome,
                tuple(job.outbound) if outcome is Outcome.HANDLED else (),
            )
        )
        self._flight.ended()

    def settled(self, received: Received, /) -> None:
        """Count it as ended."""
        self._flight.settled(received)

    def published(self, messages: Sequence[Message], /) -> None:
        """Expect it wherever it is subscribed to."""
        self._record.messages.extend(messages)
        self._flight.published(messages)

    def notice(self, notice: Notice, /) -> None:
        """Keep it."""
        self._record.notices.append((self._service, notice))


_: type[Journal] = Watch
__: type[Audience] = Record

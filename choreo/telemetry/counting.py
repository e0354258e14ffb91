"""What the delivery core decides, counted."""

from collections.abc import Mapping, Sequence

from choreo.broker import Notice
from choreo.clock import Clock
from choreo.delivery.job import Job, Outcome, Received
from choreo.delivery.journal import Journal
from choreo.event import EventType
from choreo.message import Message
from choreo.telemetry import conventions as names
from choreo.telemetry.conventions import Metric
from choreo.telemetry.instruments import Instruments, Tally
from choreo.telemetry.labels import Attributes, Labels
from choreo.telemetry.text import error_type


class Counting:
    """A journal that counts. Where the time is, the tallies are looked up once and kept."""

    def __init__(
        self,
        labels: Labels,
        instruments: Instruments,
        declared: Mapping[str, EventType],
        clock: Clock,
    ) -> None:
        self._labels = labels
        self._instruments = instruments
        self._declared = declared
        self._clock = clock
        self._consumed: dict[tuple[str, str | None], Tally] = {}
        self._held: dict[Received, float] = {}

    def oldest(self) -> float | None:
        """Tell when what has waited longest came about, in unix seconds."""
        return min(list(self._held.values()), default=None)

    def received(self, received: Received, /) -> None:
        """Count a delivery as consumed, and its event as held from its record's time on."""
        delivery, envelope = received.delivery, received.envelope
        kind = None if envelope is None or envelope.type not in self._declared else envelope.type
        tally = self._consumed.get((delivery.stream, kind))
        if tally is None:
            labels = self._labels
            declared = self._declared[kind] if kind is not None else None
            attributes: Attributes = {
                **labels.consumer,
                names.OPERATION_NAME: labels.operations.receive,
                **labels.origin(delivery, declared),
            }
            tally = self._instruments.tally(names.CONSUMED, attributes)
            self._consumed[delivery.stream, kind] = tally
        tally.count += 1
        stamp = delivery.timestamp
        self._held[received] = self._clock.now().timestamp() if stamp is None else stamp

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Count the retry that follows, by what made it necessary."""
        if delay is not None:
            self._add(names.RETRIES, job, {names.ERROR_TYPE: error_type(error)})

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Count whatever did not end handled; those that did are counted by their durations."""
        if outcome is Outcome.HANDLED:
            return
        if outcome is Outcome.DUPLICATE:
            self._add(names.DUPLICATES, job, {})
        elif outcome is Outcome.DEAD_LETTERED:
            self._add(
                names.DEAD_LETTERS, job, {names.REASON: job.reason.value if job.reason else ""}
            )
        else:
            self._add(names.SKIPPED, job, {names.OUTCOME: outcome.value})

    def settled(self, received: Received, /) -> None:
        """Hold the event no longer."""
        self._held.pop(received, None)

    def published(self, messages: Sequence[Message], /) -> None:
        """Leave it to the send operation, which knows of failures too."""

    def notice(self, notice: Notice, /) -> None:
        """Count what the adapter noticed."""
        attributes: Attributes = {names.SERVICE: self._labels.service, names.NOTICE: notice.kind}
        self._instruments.tally(names.NOTICES, attributes).count += 1

    def _add(self, metric: Metric, job: Job, extra: Attributes) -> None:
        attributes: Attributes = {names.SERVICE: self._labels.service, **extra}
        if job.handler is not None:
            attributes[names.HANDLER] = job.handler.plan.id
        self._instruments.tally(metric, attributes).count += 1


_: type[Journal] = Counting

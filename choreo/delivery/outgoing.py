"""From an event to a message: where it goes, what it says about itself, and who caused it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from choreo.broker import Capabilities
from choreo.clock import Clock
from choreo.codec import Codec, Payload
from choreo.context import Emitted
from choreo.delivery.tracing import Draft, Outbound, Tracer
from choreo.envelope import Envelope
from choreo.errors import EncodeError
from choreo.event import Event, EventType, event_type
from choreo.message import Message
from choreo.store.outbox import Emission

MAX_SEQUENCE = 2**63 - 1


class Writer(Protocol):
    """Puts an envelope on the wire."""

    def write(self, envelope: Envelope, topic: str, key: bytes | None, /) -> Message:
        """Build the message that carries *envelope*."""
        ...

    def stamp(self, message: Message, number: int, epoch: int, /) -> Message:
        """Write into *message* its number in its stream, and which count of its source that is."""
        ...


@dataclass(frozen=True, slots=True)
class _Route:
    declared: EventType
    type: str
    """The CloudEvents ``type`` of such events."""
    encode: Callable[[Any], Payload]
    topic: str | None
    """The one topic of all such events, or None if each event fills its own."""


class Outgoing:
    """Writes the events that one service publishes."""

    def __init__(
        self,
        *,
        source: str,
        writer: Writer,
        codec: Codec,
        clock: Clock,
        capabilities: Capabilities,
        tracer: Tracer | None = None,
    ) -> None:
        self.source = source
        """CloudEvents source of everything this service publishes."""
        self._writer = writer
        self._codec = codec
        self._content_type = codec.content_types[0]
        self._clock = clock
        self._topic_levels = capabilities.topic_levels
        self._retained = capabilities.retained
        self._tracer = tracer
        self._routes: dict[type[Event], _Route] = {}

    def prepare(self, event: type[Event]) -> None:
        """Compose the encoder of *event* now; raise ConfigurationError if it cannot be written."""
        self._route(event)

    def root(self, emitted: Emitted, correlation: str | None = None) -> Message:
        """Write one event that no other caused, for a publisher that nobody traces.

        It begins a conversation, or joins the one that *correlation* names.
        """
        now = _timestamp(_later(self._clock.now(), emitted.delay))
        envelope = self._envelope(emitted.event, emitted.id, now)
        envelope.correlation_id = correlation or emitted.id
        return self._message(emitted.event, envelope)

    def roots(self, events: Sequence[tuple[str, Event]]) -> Sequence[Message]:
        """Write events, each after its id, that no other caused: each begins a conversation."""
        now = _timestamp(self._clock.now())
        drafted: list[tuple[Event, Envelope]] = []
        for identity, event in events:
            _not_numbered(event)
            envelope = self._envelope(event, identity, now)
            envelope.correlation_id = identity
            drafted.append((event, envelope))
        return self._written(drafted)

    def caused(self, emitted: Sequence[Emitted], cause: Envelope) -> Sequence[Message]:
        """Write what a handler emitted because of *cause*, each with the time when it is due."""
        began = self._clock.now()
        now = _timestamp(began)
        drafted: list[tuple[Event, Envelope]] = []
        for identity, event, delay in emitted:
            moment = now if delay is None else _timestamp(_later(began, delay))
            envelope = self._envelope(event, identity, moment)
            envelope.correlation_id = cause.correlation_id or cause.id
            envelope.causation_id = cause.id
            if cause.source != self.source:
                envelope.causation_source = cause.source
            envelope.hops = cause.hops + 1
            # The trace goes on through a service that records none.
            envelope.traceparent = cause.traceparent
            envelope.tracestate = cause.tracestate
            envelope.baggage = cause.baggage
            drafted.append((event, envelope))
        return self._written(drafted)

    def emissions(
        self, emitted: Sequence[Emitted], messages: Sequence[Message]
    ) -> Sequence[Emission]:
        """Give *messages*, written of *emitted*, what an outbox must know of them."""
        return [
            self._emission(one, message) for one, message in zip(emitted, messages, strict=True)
        ]

    def _emission(self, emitted: Emitted, message: Message) -> Emission:
        identity, event, delay = emitted
        declared = self._route(type(event)).declared
        key = None if declared.key is None else _text(event, declared.key)
        # Without a key there is no order to keep, but for a topic that itself has one.
        apart = key or (None if self._topic_levels else identity)
        lane = message.topic if apart is None else f"{message.topic} {apart}"
        stream = _stream(declared, key) if declared.numbered else None
        return Emission(message=message, identity=identity, lane=lane, stream=stream, delay=delay)

    def stamp(self, message: Message, number: int, epoch: int, /) -> Message:
        """Write into *message* the number that the outbox gave it."""
        return self._writer.stamp(message, number, epoch)

    def _written(self, drafted: Sequence[tuple[Event, Envelope]]) -> Sequence[Message]:
        if self._tracer is None:
            return [self._message(event, envelope) for event, envelope in drafted]
        drafts = [
            Draft(envelope, self._route(type(event)).declared, self._topic(event))
            for event, envelope in drafted
        ]
        sending = self._tracer.write(drafts)
        try:
            messages = [self._message(event, envelope) for event, envelope in drafted]
        except EncodeError as error:
            sending.end(error)
            raise
        return Outbound(messages, sending)

    def _envelope(self, event: Event, identity: str, now: str) -> Envelope:
        route = self._route(type(event))
        declared = route.declared
        payload = route.encode(event)
        envelope = Envelope(
            id=identity,
            source=self.source,
            type=route.type,
            data=payload.data,
            content_type=self._content_type,
            time=now,
            dataschema=payload.dataschema,
        )
        if declared.key is not None:
            envelope.key = _text(event, declared.key)
        if declared.numbered:
            envelope.stream_id = _stream(declared, envelope.key)
        elif declared.sequence is not None:
            envelope.sequence = _sequence(event, declared.sequence)
            envelope.stream_id = envelope.key
        if declared.idempotency_key is not None:
            envelope.idempotency_key = _text(event, declared.idempotency_key)
        return envelope

    def _message(self, event: Event, envelope: Envelope) -> Message:
        route = self._route(type(event))
        key = None if envelope.key is None else envelope.key.encode()
        topic = self._topic(event) if route.topic is None else route.topic
        message = self._writer.write(envelope, topic, key)
        message.retain = route.declared.retain and self._retained
        return message

    def _topic(self, event: Event) -> str:
        route = self._route(type(event))
        if route.topic is not None:
            return route.topic
        topic = route.declared.topic
        return topic.fill({name: getattr(event, name) for name in topic.fields})

    def _route(self, event: type[Event]) -> _Route:
        route = self._routes.get(event)
        if route is None:
            declared = event_type(event)
            fixed = None if self._topic_levels and declared.topic.fields else self._fixed(declared)
            route = _Route(declared, declared.type, self._codec.encoder(event), fixed)
            self._routes[event] = route
        return route

    def _fixed(self, declared: EventType) -> str:
        return declared.topic.template if self._topic_levels else declared.topic.flat


def _later(moment: datetime, delay: timedelta | None) -> datetime:
    return moment if delay is None else moment + delay


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(event: Event, field: str) -> str | None:
    value: object = getattr(event, field)
    return None if value is None else str(value)


def _stream(declared: EventType, key: str | None) -> str:
    """Name the stream of events that the outbox numbers: who reads some names sees no gaps."""
    return declared.name if key is None else f"{declared.name}:{key}"


def _not_numbered(event: Event) -> None:
    if event_type(event).numbered:
        raise EncodeError(
            f"{type(event).__name__} is numbered in the outbox: emit it from a handler, or add it "
            "to the service's outbox"
        )


def _sequence(event: Event, field: str) -> str:
    value: object = getattr(event, field)
    if not isinstance(value, int) or not 0 < value <= MAX_SEQUENCE:
        raise EncodeError(
            f"{type(event).__name__}.{field} numbers events: give an integer from 1 to 2**63-1"
        )
    return f"{value:020d}"

"""From an event to a message: where it goes, what it says about itself, and who caused it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from choreo.clock import Clock
from choreo.codec import Codec, Payload
from choreo.envelope import Envelope
from choreo.errors import EncodeError
from choreo.event import Event, EventType, event_type
from choreo.message import Message

MAX_SEQUENCE = 2**63 - 1


class Writer(Protocol):
    """Puts an envelope on the wire."""

    def write(self, envelope: Envelope, topic: str, key: bytes | None, /) -> Message:
        """Build the message that carries *envelope*."""
        ...


TraceHeaders = Callable[[], Mapping[str, str]]
"""Names and values of the trace context of the running code: traceparent, tracestate, baggage."""


@dataclass(frozen=True, slots=True)
class _Route:
    declared: EventType
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
        topic_levels: bool,
        trace: TraceHeaders | None = None,
    ) -> None:
        self.source = source
        """CloudEvents source of everything this service publishes."""
        self._writer = writer
        self._codec = codec
        self._clock = clock
        self._topic_levels = topic_levels
        self._trace = trace
        self._routes: dict[type[Event], _Route] = {}

    def prepare(self, event: type[Event]) -> None:
        """Compose the encoder of *event* now; raise ConfigurationError if it cannot be written."""
        self._route(event)

    def root(self, event: Event, identity: str) -> Message:
        """Write an event that no other event caused: it begins a conversation."""
        envelope = self._envelope(event, identity, _timestamp(self._clock.now()))
        envelope.correlation_id = identity
        self._add_trace(envelope, None)
        return self._message(event, envelope)

    def caused(self, emitted: Sequence[tuple[str, Event]], cause: Envelope) -> list[Message]:
        """Write what a handler emitted because of *cause*."""
        now = _timestamp(self._clock.now())
        messages: list[Message] = []
        for identity, event in emitted:
            envelope = self._envelope(event, identity, now)
            envelope.correlation_id = cause.correlation_id or cause.id
            envelope.causation_id = cause.id
            if cause.source != self.source:
                envelope.causation_source = cause.source
            envelope.hops = cause.hops + 1
            self._add_trace(envelope, cause)
            messages.append(self._message(event, envelope))
        return messages

    def _envelope(self, event: Event, identity: str, now: str) -> Envelope:
        route = self._route(type(event))
        declared = route.declared
        payload = route.encode(event)
        envelope = Envelope(
            id=identity,
            source=self.source,
            type=declared.type,
            data=payload.data,
            content_type=self._codec.content_types[0],
            time=now,
            dataschema=payload.dataschema,
        )
        if declared.key is not None:
            envelope.key = _text(event, declared.key)
        if declared.sequence is not None:
            envelope.sequence = _sequence(event, declared.sequence)
            envelope.stream_id = envelope.key
        if declared.idempotency_key is not None:
            envelope.idempotency_key = _text(event, declared.idempotency_key)
        return envelope

    def _message(self, event: Event, envelope: Envelope) -> Message:
        route = self._route(type(event))
        topic = route.topic if route.topic is not None else self._filled(event, route.declared)
        key = None if envelope.key is None else envelope.key.encode()
        message = self._writer.write(envelope, topic, key)
        message.retain = route.declared.retain
        return message

    def _filled(self, event: Event, declared: EventType) -> str:
        return declared.topic.fill({name: getattr(event, name) for name in declared.topic.fields})

    def _add_trace(self, envelope: Envelope, cause: Envelope | None) -> None:
        """Say which trace it belongs to: the running span's, or that of the cause passed on."""
        if self._trace is not None:
            headers = self._trace()
            envelope.traceparent = headers.get("traceparent")
            envelope.tracestate = headers.get("tracestate")
            envelope.baggage = headers.get("baggage")
        if envelope.traceparent is None and cause is not None:
            envelope.traceparent = cause.traceparent
            envelope.tracestate = cause.tracestate
            envelope.baggage = envelope.baggage or cause.baggage

    def _route(self, event: type[Event]) -> _Route:
        route = self._routes.get(event)
        if route is None:
            declared = event_type(event)
            fixed = None if self._topic_levels and declared.topic.fields else self._fixed(declared)
            route = _Route(declared, self._codec.encoder(event), fixed)
            self._routes[event] = route
        return route

    def _fixed(self, declared: EventType) -> str:
        return declared.topic.template if self._topic_levels else declared.topic.flat


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(event: Event, field: str) -> str | None:
    value: object = getattr(event, field)
    return None if value is None else str(value)


def _sequence(event: Event, field: str) -> str:
    value: object = getattr(event, field)
    if not isinstance(value, int) or not 0 < value <= MAX_SEQUENCE:
        raise EncodeError(
            f"{type(event).__name__}.{field} numbers events: it must be an integer from 1 to 2**63-1"
        )
    return f"{value:020d}"

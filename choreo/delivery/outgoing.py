"""From an event to a message: where it goes, what it says about itself, and who caused it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from choreo.broker import Capabilities
from choreo.clock import Clock
from choreo.cloudevents.stencil import Lineage, Stencil
from choreo.codec import Codec, Payload
from choreo.context import Emitted
from choreo.delivery.tracing import Draft, Outbound, Tracer
from choreo.envelope import Envelope
from choreo.errors import EncodeError
from choreo.event import Event, EventType, event_type
from choreo.ids import deriver
from choreo.message import Message
from choreo.plan import Plan
from choreo.store.outbox import Emission
from choreo.timestamps import Stamps

MAX_SEQUENCE = 2**63 - 1


class Writer(Protocol):
    """Puts an envelope on the wire."""

    def write(self, envelope: Envelope, topic: str, key: bytes | None, /) -> Message:
        """Build the message that carries *envelope*."""
        ...

    def stencil(self, source: str, kind: str, media: str, /) -> Stencil | None:
        """Compose what writes messages of one kind; None while no such message was ever written."""
        ...

    def stamp(self, message: Message, number: int, epoch: int, /) -> Message:
        """Write into *message* its number in its stream, and which count of its source that is."""
        ...


@dataclass(slots=True, eq=False)
class _Route:
    declared: EventType
    type: str
    """The CloudEvents ``type`` of such events."""
    encode: Callable[[Any], Payload]
    topic: str | None
    """The one topic of all such events, or None if each event fills its own."""
    retain: bool
    key: str | None
    """The field that keeps such events in order, if one does."""
    numbered: bool
    """Whether the outbox numbers such events."""
    stencil: Stencil | None = None
    """Writes most of such events, once one has been written the long way."""

    @property
    def simple(self) -> bool:
        """Say whether nothing but their key is taken out of such events."""
        declared = self.declared
        return declared.sequence is None and declared.idempotency_key is None


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
        self._stamps = Stamps()

    def prepare(self, event: type[Event]) -> None:
        """Compose the encoder of *event* now; raise ConfigurationError if it cannot be written."""
        self._route(event)

    def root(self, emitted: Emitted, correlation: str | None = None) -> Message:
        """Write one event that no other caused, for a publisher that nobody traces.

        It begins a conversation, or joins the one that *correlation* names.
        """
        now = self._stamps.text(_later(self._clock.now(), emitted.delay))
        envelope = self._envelope(emitted.event, emitted.id, now)
        envelope.correlation_id = correlation or emitted.id
        return self._message(emitted.event, envelope)

    def roots(self, events: Sequence[tuple[str, Event]]) -> Sequence[Message]:
        """Write events, each after its id, that no other caused: each begins a conversation."""
        now = self._stamps.text(self._clock.now())
        if self._tracer is not None:
            return self._traced([self._root(event, identity, now) for identity, event in events])
        return [
            self._short(event, identity, now, (identity, None, None, 0))
            or self._message(*self._root(event, identity, now))
            for identity, event in events
        ]

    def caused(self, emitted: Sequence[Emitted], cause: Envelope) -> Sequence[Message]:
        """Write what a handler emitted because of *cause*, each with the time when it is due."""
        began, text = self._clock.now(), self._stamps.text
        lineage = self._lineage(cause)
        timed = [
            (event, identity, text(_later(began, delay))) for identity, event, delay in emitted
        ]
        if self._tracer is not None:
            return self._traced([self._follower(*each, lineage, cause) for each in timed])
        if cause.traceparent is not None or cause.baggage is not None:
            return [self._message(*self._follower(*each, lineage, cause)) for each in timed]
        return [
            self._short(*each, lineage) or self._message(*self._follower(*each, lineage, cause))
            for each in timed
        ]

    def answerer(self, plan: Plan) -> Callable[[Envelope, object], Message | None]:
        """Compose what writes, as ``caused`` does, the one event that *plan*'s handler returned.

        It gives None for all that is not such an event of a kind that was written before.
        """
        identify, now, text = self._identifier(plan), self._clock.now, self._stamps.text
        short, lineage = self._short, self._lineage

        def answer(cause: Envelope, result: Any) -> Message | None:  # noqa: ANN401 -- whatever a handler returned
            identity = identify(cause, result)
            if identity is None:
                return None
            return short(result, identity, text(now()), lineage(cause))

        return answer

    def lodger(self, plan: Plan) -> Callable[[Envelope, object], Emission | None]:
        """Compose what writes the same for an outbox, as ``emissions`` does."""
        identify, now, text = self._identifier(plan), self._clock.now, self._stamps.text
        short, lineage, place = self._short, self._lineage, self._emission

        def lodge(cause: Envelope, result: Any) -> Emission | None:  # noqa: ANN401 -- whatever a handler returned
            identity = identify(cause, result)
            if identity is None:
                return None
            message = short(result, identity, text(now()), lineage(cause))
            return None if message is None else place(message, identity, result, None)

        return lodge

    def _identifier(self, plan: Plan) -> Callable[[Envelope, object], str | None]:
        """Compose what derives the id of the one event that *plan*'s handler returned.

        It gives None for all that is not such an event of a kind that was written before.
        """
        emits, routes, derive = plan.emits, self._routes, deriver(self.source, plan.id)

        def identify(cause: Envelope, result: object) -> str | None:
            if not isinstance(result, Event) or type(result) not in emits:
                return None
            route = routes.get(type(result))
            if route is None or route.stencil is None:
                return None
            if cause.traceparent is not None or cause.baggage is not None:
                return None
            return derive(cause.source, cause.id)

        return identify

    def emissions(
        self, emitted: Sequence[Emitted], messages: Sequence[Message]
    ) -> Sequence[Emission]:
        """Give *messages*, written of *emitted*, what an outbox must know of them."""
        return [
            self._emission(message, *one) for one, message in zip(emitted, messages, strict=True)
        ]

    def _emission(
        self, message: Message, identity: str, event: Event, delay: timedelta | None
    ) -> Emission:
        route = self._routes[type(event)]
        key = None if route.key is None else _text(event, route.key)
        # Without a key there is no order to keep, but for a topic that itself has one.
        apart = key or (None if self._topic_levels else identity)
        lane = message.topic if apart is None else f"{message.topic} {apart}"
        stream = _stream(route.declared, key) if route.numbered else None
        return Emission(message=message, identity=identity, lane=lane, stream=stream, delay=delay)

    def stamp(self, message: Message, number: int, epoch: int, /) -> Message:
        """Write into *message* the number that the outbox gave it."""
        return self._writer.stamp(message, number, epoch)

    def _lineage(self, cause: Envelope) -> Lineage:
        """Tell what an event that *cause* led to says about that."""
        identity, source = cause.id, cause.source
        other = None if source == self.source else source
        return (cause.correlation_id or identity, identity, other, cause.hops + 1)

    def _short(self, event: Event, identity: str, time: str, lineage: Lineage) -> Message | None:
        """Write an event of a kind that was written before; None if that takes an envelope."""
        route = self._routes.get(type(event))
        if route is None or route.stencil is None:
            return None
        data, dataschema = route.encode(event)
        if dataschema is not None:
            return None
        key = None
        if route.key is not None:
            key = getattr(event, route.key)
            if type(key) is not str and key is not None:
                key = str(key)
        topic = self._topic(event) if route.topic is None else route.topic
        message = route.stencil(topic, data, key, identity, time, lineage)
        if route.retain and message is not None:
            message.retain = True
        return message

    def _root(self, event: Event, identity: str, time: str) -> tuple[Event, Envelope]:
        _not_numbered(event)
        envelope = self._envelope(event, identity, time)
        envelope.correlation_id = identity
        return event, envelope

    def _follower(
        self, event: Event, identity: str, time: str, lineage: Lineage, cause: Envelope
    ) -> tuple[Event, Envelope]:
        envelope = self._envelope(event, identity, time)
        envelope.correlation_id, envelope.causation_id = lineage[:2]
        envelope.causation_source, envelope.hops = lineage[2:]
        # The trace goes on through a service that records none.
        envelope.traceparent = cause.traceparent
        envelope.tracestate = cause.tracestate
        envelope.baggage = cause.baggage
        return event, envelope

    def _traced(self, drafted: Sequence[tuple[Event, Envelope]]) -> Sequence[Message]:
        assert self._tracer is not None  # noqa: S101 -- else nothing is traced
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
        message.retain = route.retain
        if route.stencil is None and route.simple:
            route.stencil = self._writer.stencil(
                envelope.source, envelope.type, envelope.content_type
            )
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
            retain = declared.retain and self._retained
            encode = self._codec.encoder(event)
            route = _Route(
                declared, declared.type, encode, fixed, retain, declared.key, declared.numbered
            )
            self._routes[event] = route
        return route

    def _fixed(self, declared: EventType) -> str:
        return declared.topic.template if self._topic_levels else declared.topic.flat


def _later(moment: datetime, delay: timedelta | None) -> datetime:
    return moment if delay is None else moment + delay


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

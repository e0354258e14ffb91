"""What a world's record says, read as events."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Concatenate, TypeVar, cast

from choreo.broker import Binding
from choreo.cloudevents import EnvelopeReader
from choreo.codec.choice import Codecs
from choreo.dead_letter import DeadLetter, is_dead_letter_topic, read_dead_letter
from choreo.delivery.job import Outcome
from choreo.envelope import Envelope
from choreo.errors import DecodeError
from choreo.event import Event, event_type
from choreo.message import Delivery, Message
from choreo.plan import Plan
from choreo.registry.port import SchemaPending
from choreo.service import Service
from choreo.testing.record import Record
from choreo.testing.trail import Reaction, Trail, trails

E = TypeVar("E", bound=Event)


class Chronicle:
    """Reads one record; nothing is read before it is asked for."""

    def __init__(
        self,
        record: Record,
        services: Sequence[Service],
        binding: Binding,
        formats: Sequence[Codecs],
    ) -> None:
        self._record = record
        self._plans = [plan for service in services for plan in service.plans]
        self._reader = EnvelopeReader(binding, [plan.event for plan in self._plans])
        self._formats = formats

    def published(self, event: type[E]) -> list[E]:
        """List what was published of one class, in order of acceptance."""
        kind, decode = event_type(event).type, self._decoder(event)
        found: list[E] = []
        for message in self._record.messages:
            envelope = None if is_dead_letter_topic(message.topic) else self.envelope(message)
            if envelope is not None and envelope.type == kind:
                try:
                    found.append(decode(envelope))
                except DecodeError:
                    continue  # bytes that a test sent on purpose; they are among the dead letters
        return found

    def emitted_by(self, handler: Callable[..., object]) -> list[Event]:
        """List what *handler* emitted."""
        decoders = {
            event_type(event).type: self._decoder(event)
            for plan in self._known(handler)
            for event in plan.emits
        }
        envelopes = [
            self.envelope(message)
            for end in self._record.ends
            if end.function == handler
            for message in end.emitted
        ]
        return [decoders[envelope.type](envelope) for envelope in envelopes if envelope]

    def handled(self, handler: Callable[Concatenate[E, ...], object]) -> list[E]:
        """List the events that *handler* handled."""
        decoders = {
            event_type(plan.event).type: self._decoder(plan.event) for plan in self._known(handler)
        }
        return [
            cast("E", decoders[end.envelope.type](end.envelope))
            for end in self._record.ends
            if end.function == handler and end.outcome is Outcome.HANDLED and end.envelope
        ]

    def outcomes(self, handler: Callable[..., object]) -> Counter[Outcome]:
        """Count how *handler*'s events ended."""
        self._known(handler)
        return Counter(end.outcome for end in self._record.ends if end.function == handler)

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """List what was dead-lettered."""
        letters = (
            read_dead_letter(message)
            for message in self._record.messages
            if is_dead_letter_topic(message.topic)
        )
        return [letter for letter in letters if letter is not None]

    def trail(self, identity: str | Event) -> Trail:
        """Draw the conversation of one id or event."""
        if isinstance(identity, Event):
            identity = self._id_of(identity)
        for tree in self._trees():
            if identity == tree.correlation_id or any(node.id == identity for node in tree):
                return tree
        raise LookupError(f"no event {identity!r} was published or received in this world")

    def _trees(self) -> list[Trail]:
        published = (
            self.envelope(message)
            for message in self._record.messages
            if not is_dead_letter_topic(message.topic)
        )
        received = [received.envelope for received in self._record.received]
        reactions = [
            (end.envelope.id, Reaction(end.service, end.handler, end.outcome.value))
            for end in self._record.ends
            if end.envelope is not None and end.function is not None
        ]
        envelopes = [envelope for envelope in (*received, *published) if envelope is not None]
        return trails(envelopes, reactions)

    def _id_of(self, event: Event) -> str:
        decode = self._decoder(type(event))
        kind = event_type(event).type
        for message in self._record.messages:
            envelope = self.envelope(message)
            if envelope is not None and envelope.type == kind:
                try:
                    if decode(envelope) == event:
                        return envelope.id
                except DecodeError:
                    continue
        raise LookupError(f"{event!r} was not published in this world")

    def _decoder(self, event: type[E]) -> Callable[[Envelope], E]:
        """Compose what reads *event* as any of the services does: each knows what it wrote."""
        decoders = [formats.decoder(event) for formats in self._formats]

        def decode(envelope: Envelope) -> E:
            problem = DecodeError(f"{event.__name__}: no service here reads it")
            for decoder in decoders:
                try:
                    return decoder(envelope)
                except DecodeError as error:
                    problem = error
                except SchemaPending as error:
                    problem = DecodeError(str(error))
            raise problem

        return decode

    def envelope(self, message: Message) -> Envelope | None:
        """Read what a message says of itself; None if it is no event that anyone can read."""
        delivery = Delivery(message.topic, message.body, message.key, message.headers)
        try:
            return self._reader.read(delivery)
        except DecodeError:
            return None

    def _known(self, handler: Callable[..., object]) -> list[Plan]:
        plans = [plan for plan in self._plans if plan.function == handler]
        if not plans:
            raise LookupError(f"{handler!r} is no handler of a service in this world")
        return plans

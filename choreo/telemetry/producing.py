"""Spans, durations and counts of what a service publishes: create and send."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, get_current_span
from opentelemetry.trace import Tracer as Spans

from choreo.delivery.tracing import Draft, Operation, Outbound
from choreo.message import Message
from choreo.telemetry import conventions as names
from choreo.telemetry.instruments import Tally
from choreo.telemetry.labels import Attributes, destination_of, span_name
from choreo.telemetry.operations import Nothing, Scene, Sending, harmless
from choreo.telemetry.propagation import below, header_context, inject, inject_baggage, links_to


class Producing:
    """Follows publishes, from writing to the broker's word."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._operation: Attributes = {
            **scene.labels.client,
            names.OPERATION_NAME: scene.labels.operations.send,
            names.OPERATION_TYPE: names.SEND,
        }
        self._sent: dict[tuple[str, str | None], Tally] = {}

    @harmless
    def write(self, drafts: Sequence[Draft], /) -> Operation:
        """Begin a send span, after create spans for a batch, and give its context to *drafts*."""
        scene = self._scene
        spans = scene.spans
        if spans is not None and drafts:
            for draft in drafts:
                inject_baggage(draft.envelope)
            ambient = get_current_span().get_span_context()
            if ambient.is_valid and not ambient.trace_flags.sampled:
                for draft in drafts:
                    inject(draft.envelope, ambient)
                spans = None
                if scene.instruments is None:
                    return Nothing()
        places = [scene.labels.destination(each.topic, each.declared) for each in drafts]
        span: Span | None = None
        if spans is not None and drafts:
            alone = len(drafts) == 1 or not scene.options.create
            begin = self._producer_span if alone else self._batch_span
            span = begin(spans, drafts, places)
        return self._sending(span, places)

    @harmless
    def send(self, messages: Sequence[Message], /) -> Operation:
        """Go on with what write() began; what was made elsewhere gets a CLIENT span."""
        if isinstance(messages, Outbound) and messages.sending is not None:
            sending, messages.sending = messages.sending, None
            return sending
        scene = self._scene
        places = [scene.labels.destination(each.topic, None) for each in messages]
        span: Span | None = None
        if scene.spans is not None and messages:
            contexts = [header_context(message.headers) for message in messages]
            attributes = self._attributes([message.topic for message in messages], places)
            parent: Context | None = None
            if len(contexts) == 1 and not get_current_span().get_span_context().is_valid:
                parent = below(contexts[0])
            span = self._client_span(scene.spans, contexts, attributes, parent)
        return self._sending(span, places)

    def _producer_span(
        self, spans: Spans, drafts: Sequence[Draft], places: Sequence[Attributes]
    ) -> Span:
        attributes = self._attributes([draft.topic for draft in drafts], places)
        name = span_name(self._scene.labels.operations.send, uniform(places))
        span = spans.start_span(name, None, SpanKind.PRODUCER, attributes)
        for draft in drafts:
            inject(draft.envelope, span.get_span_context())
        if len(drafts) == 1 and span.is_recording():
            span.set_attributes(self._scene.labels.details(drafts[0].envelope, None))
        return span

    def _batch_span(
        self, spans: Spans, drafts: Sequence[Draft], places: Sequence[Attributes]
    ) -> Span:
        contexts = [
            self._create(spans, draft, place) for draft, place in zip(drafts, places, strict=True)
        ]
        attributes = self._attributes([draft.topic for draft in drafts], places)
        return self._client_span(spans, contexts, attributes, None)

    def _create(self, spans: Spans, draft: Draft, place: Attributes) -> SpanContext:
        labels = self._scene.labels
        attributes: Attributes = {
            **labels.client,
            names.OPERATION_NAME: labels.operations.create,
            names.OPERATION_TYPE: names.CREATE,
            **place,
            names.DESTINATION_NAME: draft.topic,
        }
        name = span_name(labels.operations.create, place)
        span = spans.start_span(name, None, SpanKind.PRODUCER, attributes)
        context = span.get_span_context()
        inject(draft.envelope, context)
        if span.is_recording():
            span.set_attributes(labels.details(draft.envelope, None))
        span.end()
        return context

    def _client_span(
        self,
        spans: Spans,
        contexts: Sequence[SpanContext | None],
        attributes: Attributes,
        parent: Context | None,
    ) -> Span:
        links = [link for context in contexts for link in links_to(context)]
        name = span_name(self._scene.labels.operations.send, attributes)
        return spans.start_span(name, parent, SpanKind.CLIENT, attributes, links)

    def _attributes(self, topics: Sequence[str], places: Sequence[Attributes]) -> Attributes:
        attributes: Attributes = {**self._operation, **uniform(places)}
        if topics.count(topics[0]) == len(topics):
            attributes[names.DESTINATION_NAME] = topics[0]
        if len(topics) > 1:
            attributes[names.BATCH_COUNT] = len(topics)
        return attributes

    def _sending(self, span: Span | None, places: Sequence[Attributes]) -> Sending:
        scene = self._scene
        return Sending(
            clock=scene.clock,
            began=scene.clock.monotonic(),
            attributes={**self._operation, **uniform(places)},
            histogram=scene.instruments.operation_duration if scene.instruments else None,
            span=span,
            places=places,
            count=self._count if scene.instruments else None,
        )

    def _count(self, place: Attributes, error: str | None) -> None:
        key = (destination_of(place) or "", error)
        tally = self._sent.get(key)
        if tally is None and self._scene.instruments is not None:
            attributes = {**self._operation, **place}
            if error is not None:
                attributes[names.ERROR_TYPE] = error
            tally = self._scene.instruments.tally(names.SENT, attributes)
            self._sent[key] = tally
        if tally is not None:
            tally.count += 1


def uniform(places: Sequence[Attributes]) -> Attributes:
    """Tell where all of a batch goes to; nothing if it goes to several places."""
    return places[0] if places and all(place == places[0] for place in places) else {}

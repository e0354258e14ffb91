"""Spans and durations of what a service does with what it received: process and settle."""

from dataclasses import dataclass

from opentelemetry.context import Context, attach
from opentelemetry.trace import Span, SpanContext, SpanKind, set_span_in_context
from opentelemetry.trace import Tracer as Spans

from choreo.delivery.job import Handler, Job
from choreo.delivery.tracing import Operation
from choreo.envelope import Envelope
from choreo.event import event_type
from choreo.message import Delivery
from choreo.telemetry import conventions as names
from choreo.telemetry.labels import Attributes, span_name
from choreo.telemetry.operations import Attempt, Nothing, Scene, Timed, Unrecorded, harmless
from choreo.telemetry.propagation import (
    below,
    creation_context,
    header_context,
    links_to,
    span_context,
    with_baggage,
)
from choreo.telemetry.unwanted import Foreseen

NOWHERE = Context()
"""Nothing is ambient there: what the code that started the service left is not the event's."""


@dataclass(frozen=True, slots=True)
class _Site:
    """One handler reading one stream: what all of its attempts have in common."""

    name: str
    start: Attributes
    measured: Attributes
    placed: bool
    """Its topic is in what they have in common: a filled one differs from event to event."""


class Consuming:
    """Follows attempts and burials."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._foreseen = Foreseen(scene.spans)
        self._sites: dict[tuple[int, str], _Site] = {}

    @harmless
    def process(self, job: Job, /) -> Operation:
        """Begin a process span for one attempt and make it the ambient one."""
        handler, envelope = job.handler, job.received.envelope
        if handler is None or envelope is None:
            return Nothing()
        scene, delivery = self._scene, job.received.delivery
        site = self._sites.get((handler.index, delivery.stream)) or self._site(handler, delivery)
        span = token = None
        if scene.spans is not None:
            creation = creation_context(envelope)
            span = self._foreseen.unwanted(self._adopted(creation)) or self._process_span(
                scene.spans, site, job, envelope, creation
            )
            inside = set_span_in_context(span, NOWHERE)
            baggage = envelope.baggage
            token = attach(inside if baggage is None else with_baggage(inside, baggage))
            if scene.instruments is None and not span.is_recording():
                return Unrecorded(job, span, token)
        return Attempt(
            clock=scene.clock,
            began=scene.clock.monotonic(),
            attributes=site.measured,
            histogram=scene.instruments.process_duration if scene.instruments else None,
            span=span,
            token=token,
            job=job,
        )

    @harmless
    def bury(self, job: Job, /) -> Operation:
        """Begin a settle span, below the attempt that failed last, and make it the ambient one."""
        scene, labels, handler = self._scene, self._scene.labels, job.handler
        declared = event_type(handler.plan.event) if handler is not None else None
        measured: Attributes = {
            **labels.consumer,
            names.OPERATION_NAME: labels.operations.settle,
            names.OPERATION_TYPE: names.SETTLE,
            **labels.origin(job.received.delivery, declared),
        }
        span = token = None
        if scene.spans is not None:
            span = self._settle_span(scene.spans, job, measured)
            token = attach(set_span_in_context(span, NOWHERE))
        return Timed(
            clock=scene.clock,
            began=scene.clock.monotonic(),
            attributes=measured,
            histogram=scene.instruments.operation_duration if scene.instruments else None,
            span=span,
            token=token,
        )

    def _site(self, handler: Handler, delivery: Delivery) -> _Site:
        labels = self._scene.labels
        measured: Attributes = {
            **labels.consumer,
            names.OPERATION_NAME: labels.operations.process,
            **labels.origin(delivery, event_type(handler.plan.event)),
            names.HANDLER: handler.plan.id,
        }
        start = {**measured, names.OPERATION_TYPE: names.PROCESS}
        name = span_name(labels.operations.process, measured)
        site = _Site(name, start, measured, names.DESTINATION_NAME in start)
        self._sites[handler.index, delivery.stream] = site
        return site

    def _process_span(
        self,
        spans: Spans,
        site: _Site,
        job: Job,
        envelope: Envelope,
        creation: SpanContext | None,
    ) -> Span:
        delivery = job.received.delivery
        span = spans.start_span(
            site.name,
            NOWHERE if creation is None else below(self._adopted(creation)),
            SpanKind.CONSUMER,
            site.start if site.placed else {**site.start, names.DESTINATION_NAME: delivery.topic},
            links_to(creation),
        )
        if span.is_recording():
            span.set_attributes(self._scene.labels.details(envelope, delivery))
            span.set_attribute(names.ATTEMPT, job.attempt)
        return span

    def _settle_span(self, spans: Spans, job: Job, measured: Attributes) -> Span:
        envelope, delivery = job.received.envelope, job.received.delivery
        creation = creation_context(envelope) if envelope else header_context(delivery.headers)
        failed = span_context(job.trace) if job.trace else None
        start = {**measured, names.DESTINATION_NAME: delivery.topic}
        if job.reason is not None:
            start[names.REASON] = job.reason.value
        span = spans.start_span(
            span_name(self._scene.labels.operations.settle, measured),
            below(failed or self._adopted(creation)),
            SpanKind.CLIENT,
            start,
            links_to(creation),
        )
        if span.is_recording() and envelope is not None:
            span.set_attributes(self._scene.labels.details(envelope, delivery))
        return span

    def _adopted(self, creation: SpanContext | None) -> SpanContext | None:
        return creation if self._scene.options.parent == "parent" else None

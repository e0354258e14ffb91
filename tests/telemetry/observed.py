"""What telemetry tells, kept in memory for a test to read."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricsData,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler
from opentelemetry.trace import SpanContext

from choreo.broker import Notice
from choreo.delivery.job import Job, Outcome, Received
from choreo.message import Message
from choreo.telemetry.telemetry import Telemetry

Point = NumberDataPoint | HistogramDataPoint


class Exporter(InMemorySpanExporter):
    """Keeps spans, and says when there are more."""

    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        self.more.set()
        return result


@dataclass
class Observed:
    """Providers of a test's own, and what came of them."""

    exporter: Exporter = field(default_factory=Exporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    sampler: Sampler | None = None

    def __post_init__(self) -> None:
        self.tracers = TracerProvider(sampler=self.sampler, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracer_provider=self.tracers, meter_provider=self.meters)

    def close(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """All that ended, in the order in which they began."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    async def until(self, ready: Callable[[], bool]) -> None:
        """Wait for spans until *ready*; the test's own time limit bounds it."""
        while not ready():
            self.exporter.more.clear()
            await self.exporter.more.wait()

    def metrics(self) -> dict[str, list[Point]]:
        data = self.reader.get_metrics_data()
        assert isinstance(data, MetricsData | None)
        points: dict[str, list[Point]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kept = [
                        point
                        for point in metric.data.data_points
                        if isinstance(point, NumberDataPoint | HistogramDataPoint)
                    ]
                    points.setdefault(metric.name, []).extend(kept)
        return points

    def values(self, name: str) -> dict[tuple[tuple[str, object], ...], float]:
        """Tell a counter's or gauge's values by their attributes."""
        return {
            tuple(sorted((point.attributes or {}).items())): point.value
            for point in self.metrics().get(name, [])
            if isinstance(point, NumberDataPoint)
        }


def context(span: ReadableSpan) -> SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


def unsampled() -> Sampler:
    return ParentBased(ALWAYS_OFF)


class Settlements:
    """A journal by which a test waits for what a service has settled."""

    def __init__(self) -> None:
        self._count = 0
        self._more = asyncio.Event()

    async def reach(self, count: int) -> None:
        """Return once *count* deliveries are settled in all."""
        while self._count < count:
            self._more.clear()
            await self._more.wait()

    def received(self, received: Received, /) -> None: ...

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None: ...

    def ended(self, job: Job, outcome: Outcome, /) -> None: ...

    def settled(self, received: Received, /) -> None:
        self._count += 1
        self._more.set()

    def published(self, messages: Sequence[Message], /) -> None: ...

    def notice(self, notice: Notice, /) -> None: ...

"""The providers of a process, and what a service makes of them."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Self

from opentelemetry.metrics import MeterProvider, NoOpMeter, get_meter_provider
from opentelemetry.trace import NoOpTracer, Tracer, TracerProvider, get_tracer_provider

from choreo.broker import Broker
from choreo.delivery.journal import Journal
from choreo.environment import Environment
from choreo.event import EventType, event_type
from choreo.service import Service
from choreo.settings import Settings
from choreo.telemetry import conventions as names
from choreo.telemetry.counting import Counting
from choreo.telemetry.instruments import Instruments, instruments, library_version
from choreo.telemetry.labels import Labels
from choreo.telemetry.operations import Options, Scene
from choreo.telemetry.readings import Readings, Subjects
from choreo.telemetry.tracer import ServiceTracer

API_ONLY = ("opentelemetry.trace", "opentelemetry.metrics")
"""Where the API keeps providers that do nothing; one that does something comes from elsewhere."""


class Telemetry:
    """Where spans and measurements go; either provider may be missing."""

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._spans = _tracer(tracer_provider) if tracer_provider is not None else None
        self._instruments = _instruments(meter_provider) if meter_provider is not None else None

    @classmethod
    def detect(cls) -> Self | None:
        """Take the process's global providers; None if nothing would come of it.

        Providers that are set later are not seen: set them before a service starts.
        """
        tracers, meters = get_tracer_provider(), get_meter_provider()
        found = cls(
            tracer_provider=tracers if _does_something(tracers) else None,
            meter_provider=meters if _does_something(meters) else None,
        )
        return None if found.silent else found

    @property
    def silent(self) -> bool:
        """Whether nothing would come of it."""
        return self._spans is None and self._instruments is None

    def of(
        self,
        service: Service,
        broker: Broker,
        settings: Settings,
        environment: Environment,
    ) -> "ServiceTelemetry":
        """Follow one service on its open broker, as far as its settings want it."""
        scene = Scene(
            labels=Labels(service.name, broker.url, broker.capabilities),
            spans=self._spans if settings.telemetry else None,
            instruments=self._instruments if settings.telemetry else None,
            options=Options(parent=settings.trace_parent, create=settings.trace_create),
            clock=environment.clock,
        )
        declared = [event_type(plan.event) for plan in service.plans]
        return ServiceTelemetry(scene, {kind.type: kind for kind in declared})


class ServiceTelemetry:
    """What one service tells while it runs."""

    def __init__(self, scene: Scene, declared: Mapping[str, EventType]) -> None:
        followed = scene.spans is not None or scene.instruments is not None
        self.tracer = ServiceTracer(scene) if followed else None
        """None where nothing would come of it: delivery is then composed without."""
        self._scene = scene
        self._counting: Counting | None = None
        if scene.instruments is not None:
            self._counting = Counting(scene.labels, scene.instruments, declared, scene.clock)

    @property
    def journals(self) -> tuple[Journal, ...]:
        """Give what the delivery core is to tell its decisions."""
        return () if self._counting is None else (self._counting,)

    @contextmanager
    def watching(self, subjects: Subjects) -> Generator[None]:
        """Let the service's gauges be read meanwhile."""
        scene = self._scene
        if scene.instruments is None or self._counting is None:
            yield
            return
        source = Readings(scene.labels, self._counting, scene.clock, subjects)
        scene.instruments.sources.add(source)
        try:
            yield
        finally:
            scene.instruments.sources.discard(source)


def _does_something(provider: object) -> bool:
    return not type(provider).__module__.startswith(API_ONLY)


def _tracer(provider: TracerProvider) -> Tracer | None:
    tracer = provider.get_tracer(names.SCOPE, library_version(), names.SCHEMA_URL)
    return None if isinstance(tracer, NoOpTracer) else tracer


def _instruments(provider: MeterProvider) -> Instruments | None:
    """Find the instruments, None where the SDK is disabled and would take nothing."""
    meter = provider.get_meter(names.SCOPE, library_version(), names.SCHEMA_URL)
    return None if isinstance(meter, NoOpMeter) else instruments(provider)

"""Providers set up from OpenTelemetry's environment variables, for a program's entry point.

The only module that needs the SDK. Honoured: ``OTEL_SDK_DISABLED``, ``OTEL_TRACES_EXPORTER`` and
``OTEL_METRICS_EXPORTER`` (``otlp``, ``console``, ``none`` or what an installed package registers,
several with commas), ``OTEL_EXPORTER_OTLP_*``, ``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``,
and what the SDK itself reads (``OTEL_TRACES_SAMPLER``, ``OTEL_BSP_*``, ``OTEL_METRIC_EXPORT_*``).

In one thing it departs from the specification's defaults: where no exporter is named and no OTLP
endpoint is given, nothing is exported, instead of to a collector on this machine that few run.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from importlib.metadata import entry_points
from threading import Thread
from time import monotonic
from typing import Literal, cast
from uuid import uuid4

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from choreo.errors import ConfigurationError
from choreo.telemetry.telemetry import Telemetry
from choreo.telemetry.text import told

logger = logging.getLogger(__name__)

FLUSH_BUDGET = timedelta(seconds=5)

PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Entry points of the OTLP exporters, by the protocol's name in the environment."""

Signal = Literal["traces", "metrics"]


class Export:
    """The providers of this process while it exports."""

    def __init__(self, tracers: TracerProvider | None, meters: MeterProvider | None) -> None:
        self._tracers = tracers
        self._meters = meters

    def shutdown(self, budget: timedelta = FLUSH_BUDGET) -> None:
        """Export what is left and stop, within *budget*; what does not get out by then is lost."""
        end = monotonic() + budget.total_seconds()
        threads = [
            Thread(target=_shut, args=(provider,), name="choreo telemetry", daemon=True)
            for provider in (self._tracers, self._meters)
            if provider is not None
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - monotonic()))
        if any(thread.is_alive() for thread in threads):
            logger.warning(
                "telemetry could not all be exported in time",
                extra={"budget": budget.total_seconds()},
            )


def configure_from_environment(
    service_name: str, environment: Mapping[str, str] | None = None
) -> Export | None:
    """Set up the global providers that the environment asks for; None if it asks for none.

    *service_name* is the resource's ``service.name`` unless the environment names one. Providers
    that the program has set up itself are left alone. Call it before services start, and
    ``Export.shutdown`` after they stopped. Raises ConfigurationError for an exporter that is not
    installed or not known.
    """
    env = os.environ if environment is None else environment
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or Telemetry.detect():
        return None
    spans = list(_exporters("traces", env))
    measurements = list(_exporters("metrics", env))
    if not spans and not measurements:
        return None
    resource = _resource(service_name, env)
    tracers = _tracers(spans, resource) if spans else None
    meters = _meters(measurements, resource) if measurements else None
    return Export(tracers, meters)


def _tracers(exporters: list[type[object]], resource: Resource) -> TracerProvider:
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for kind in exporters:
        provider.add_span_processor(BatchSpanProcessor(cast("type[SpanExporter]", kind)()))
    trace.set_tracer_provider(provider)
    return provider


def _meters(exporters: list[type[object]], resource: Resource) -> MeterProvider:
    readers = [
        kind()
        if issubclass(kind, MetricReader)
        else PeriodicExportingMetricReader(cast("type[MetricExporter]", kind)())
        for kind in exporters
    ]
    provider = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return provider


def _exporters(signal: Signal, env: Mapping[str, str]) -> Iterator[type[object]]:
    """Find the classes of the exporters that are asked for."""
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    named = env.get(variable, "").strip()
    if not named:
        endpoints = (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT",
        )
        named = "otlp" if any(env.get(endpoint) for endpoint in endpoints) else "none"
    for part in named.split(","):
        name = part.strip()
        if name in ("", "none"):
            continue
        point = _protocol(signal, env) if name == "otlp" else name
        found = entry_points(group=f"opentelemetry_{signal}_exporter", name=point)
        if not found:
            raise ConfigurationError(
                f"{variable}={named}: no exporter {point!r} is installed; "
                f"install the package that brings it ({_package(point)}) or name another"
            )
        yield next(iter(found)).load()


def _protocol(signal: Signal, env: Mapping[str, str]) -> str:
    variables = (
        f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    )
    asked = next((env[name].strip() for name in variables if env.get(name)), "http/protobuf")
    if asked not in PROTOCOLS:
        raise ConfigurationError(
            f"OTLP protocol {asked!r} is not known: use {' or '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[asked]


def _package(point: str) -> str:
    if point in PROTOCOLS.values():
        return f"opentelemetry-exporter-{point.replace('_', '-')}, for http choreo[cli]"
    return f"perhaps opentelemetry-exporter-{point}"


def _resource(service_name: str, env: Mapping[str, str]) -> Resource:
    """Describe this process; what the environment says of it has precedence."""
    said = env.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own = {"service.instance.id": str(uuid4())}
    if not env.get("OTEL_SERVICE_NAME"):
        own["service.name"] = service_name
    return Resource.create(
        {name: value for name, value in own.items() if f"{name}=" not in said.replace(" ", "")}
    )


def _shut(provider: TracerProvider | MeterProvider) -> None:
    try:
        provider.shutdown()
    except Exception as error:  # noqa: BLE001 -- the thread's boundary: an exporter of whatever make
        logger.warning("telemetry could not be exported", extra={"error": told(error)})

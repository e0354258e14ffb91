"""What leaves a process by OpenTelemetry's environment variables."""

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from choreo import ConfigurationError
from choreo.telemetry.export import configure_from_environment

PROGRAM = """
import asyncio, logging
from datetime import timedelta
from choreo import Event, Service
from choreo.runner import started
from choreo.telemetry.export import configure_from_environment

class Placed(Event, topic="orders", key="order"):
    order: str

shop = Service("shop", broker="memory://")
handled = asyncio.Event()

@shop.on(Placed)
async def charge(_: Placed) -> None:
    handled.set()

async def main() -> None:
    async with started(shop):
        await shop.publish(Placed(order="a"))
        await handled.wait()

logging.basicConfig()
export = configure_from_environment("shop")
asyncio.run(main())
print("exporting" if export else "silent")
if export:
    export.shutdown(timedelta(seconds=1))
"""


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP; with *answers* off it lets every caller wait."""

    daemon_threads = True

    def __init__(self, *, answers: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answers = answers
        self.bodies: dict[str, list[bytes]] = {}


class Request(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        collector = self.server
        assert isinstance(collector, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        collector.bodies.setdefault(self.path, []).append(body)
        if not collector.answers:
            self.rfile.read(1)
            return
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 -- its name there


@pytest.fixture(params=[True])
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    """Run a collector on loopback."""
    server = Collector(answers=bool(request.param))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**inherited, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=9,
        check=False,
    )


def test_spans_and_measurements_reach_an_otlp_collector_before_the_process_ends(
    collector: Collector, tmp_path: Path
) -> None:
    done = run(
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )

    assert (done.stdout.split(), done.stderr) == (["exporting"], "")
    (body,) = collector.bodies["/v1/traces"]
    (traces,) = ExportTraceServiceRequest.FromString(body).resource_spans
    (scope,) = traces.scope_spans
    assert sorted(span.name for span in scope.spans) == ["process orders", "send orders"]
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"
    resource = {each.key: each.value.string_value for each in traces.resource.attributes}
    assert resource["service.name"] == "shop"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.instance.id"]
    (measured,) = collector.bodies["/v1/metrics"]
    (metrics,) = ExportMetricsServiceRequest.FromString(measured).resource_metrics
    names = {metric.name for metric in metrics.scope_metrics[0].metrics}
    assert "messaging.process.duration" in names


@pytest.mark.parametrize("collector", [False], indirect=True)
def test_a_collector_that_does_not_answer_holds_no_process_back(
    collector: Collector, tmp_path: Path
) -> None:
    done = run(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}")

    assert done.returncode == 0
    assert "telemetry could not all be exported in time" in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
        },
    ],
)
def test_nothing_is_exported_that_was_not_asked_for(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = run(tmp_path, **environment)

    assert (done.stdout.split(), done.stderr) == (["silent"], "")


def test_exporters_are_named_by_signal(tmp_path: Path) -> None:
    done = run(tmp_path, OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="named")

    assert done.returncode == 0
    assert '"name": "process orders"' in done.stdout
    assert '"service.name": "named"' in done.stdout
    assert "messaging.process.duration" not in done.stdout


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "nobody"}, "no exporter 'nobody' is installed"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "opentelemetry-exporter-otlp-proto-grpc",
        ),
        (
            {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "pigeon"},
            "'pigeon' is not known",
        ),
    ],
)
def test_an_exporter_that_cannot_be_had_is_refused_with_what_to_do(
    environment: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        configure_from_environment("shop", environment)

"""Trace context and baggage in and out; sampling; and nothing where there is no provider."""

import subprocess
import sys
import uuid
from collections.abc import Sequence

import pytest
from opentelemetry import baggage, metrics, trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from choreo import Event, Message, Service
from choreo.broker import TopicFilter, open_broker
from choreo.message import Delivery, Header
from choreo.runner import started
from choreo.telemetry.propagation import span_context, traceparent
from choreo.telemetry.telemetry import Telemetry
from tests.telemetry.observed import Observed, context, parent, unsampled

TRACE = "0af7651916cd43dd8448eb211c80319c"
CAUSE = f"00-{TRACE}-b7ad6b7169203331-01"
NOT_SAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"


class Placed(Event, topic="orders", key="order"):
    order: str


class Paid(Event, topic="payments", key="order"):
    order: str


def paying(url: str) -> Service:
    service = Service("shop", broker=url)

    @service.on(Placed)
    async def charge(order: Placed) -> Paid:
        return Paid(order=order.order)

    return service


def url() -> str:
    return f"memory://{uuid.uuid4().hex}?partitions=1"


def incoming(*headers: Header) -> Message:
    return Message(
        "orders",
        b'{"order": "a"}',
        b"a",
        [
            ("ce_specversion", b"1.0"),
            ("ce_id", b"1"),
            ("ce_source", b"urn:elsewhere"),
            ("ce_type", b"Placed.v1"),
            ("content-type", b"application/json"),
            *headers,
        ],
    )


async def emitted(service: Service, telemetry: Telemetry | None, *headers: Header) -> Delivery:
    """Let the service handle one message and return what it emitted."""
    assert isinstance(service.broker, str)
    async with open_broker(service.broker) as broker, started(service, telemetry=telemetry):
        await broker.publish([incoming(*headers)])
        async with broker.browse(TopicFilter("payments"), follow=True) as found:
            return await anext(aiter(found))
    raise AssertionError


def header(delivery: Delivery, name: str) -> str | None:
    values = [value for found, value in delivery.headers if found == name]
    assert len(values) <= 1
    return values[0].decode() if values and values[0] is not None else None


async def test_trace_and_baggage_come_in_and_go_out_with_the_spans_in_between(
    observed: Observed,
) -> None:
    out = await emitted(
        paying(url()),
        observed.telemetry,
        ("traceparent", CAUSE.encode()),
        ("tracestate", b"vendor=1,other=2"),
        ("baggage", b"tenant=a%20b;ttl=5,plan=gold"),
    )

    process, send = observed.one("process orders"), observed.one("send payments")
    assert context(process).trace_id == int(TRACE, 16)
    assert parent(process) == int("b7ad6b7169203331", 16)
    assert header(out, "traceparent") == traceparent(context(send))
    assert header(out, "tracestate") == "vendor=1,other=2"
    assert header(out, "baggage") == "tenant=a%20b;ttl=5,plan=gold"


async def test_a_handler_reads_the_baggage_of_its_event(observed: Observed) -> None:
    seen: list[object] = []

    async def charge(_: Placed) -> Paid:
        seen.append(baggage.get_baggage("tenant"))
        return Paid(order="a")

    for headers in ([("baggage", b"tenant=blue")], []):
        service = Service("shop", broker=url())
        service.on(Placed)(charge)
        await emitted(service, observed.telemetry, *headers)

    assert seen == ["blue", None]


async def test_baggage_of_the_publisher_is_cut_to_what_must_be_passed_on(
    observed: Observed,
) -> None:  # T2
    name = url()
    service = Service("shop", broker=name)
    found = baggage.set_baggage("first", "kept")
    for number in range(200):
        found = baggage.set_baggage(f"m{number}", "x" * 100, found)

    async with open_broker(name) as broker, started(service, telemetry=observed.telemetry):
        token = attach(found)
        await service.publish(Placed(order="a"))
        detach(token)
        async with broker.browse(TopicFilter("orders")) as messages:
            text = header(await anext(aiter(messages)), "baggage")

    assert text is not None
    members = text.split(",")
    assert len(members) == 64
    assert len(text) <= 8192
    assert members[0] == "first=kept"
    assert all(len(member.partition("=")[2]) == 100 for member in members[1:])


async def test_a_megabyte_of_baggage_costs_no_event(observed: Observed) -> None:  # T2
    flood = b",".join(b"k%d=%s" % (number, b"x" * 100) for number in range(10_000))

    out = await emitted(paying(url()), observed.telemetry, ("baggage", flood))

    assert len(header(out, "baggage") or "") <= 8192


async def test_without_a_provider_the_causes_context_is_passed_on() -> None:
    out = await emitted(
        paying(url()),
        None,
        ("traceparent", CAUSE.encode()),
        ("tracestate", b"vendor=1"),
        ("baggage", b"tenant=blue;ttl=5"),
    )

    assert header(out, "traceparent") == CAUSE
    assert header(out, "tracestate") == "vendor=1"
    assert header(out, "baggage") == "tenant=blue;ttl=5"


async def test_an_unsampled_trace_stays_unsampled_to_its_end() -> None:
    observed = Observed(sampler=unsampled())
    service = Service("shop", broker=url())
    own: list[bool] = []

    @service.on(Placed)
    async def charge(order: Placed) -> Paid:
        with observed.tracers.get_tracer("user").start_as_current_span("own") as span:
            own.append(span.is_recording())
        return Paid(order=order.order)

    out = await emitted(service, observed.telemetry, ("traceparent", NOT_SAMPLED.encode()))

    assert observed.spans == []
    assert own == [False]
    found = span_context(header(out, "traceparent") or "")
    assert found is not None
    assert found.trace_id == int(TRACE, 16)
    assert not found.trace_flags.sampled


async def test_linking_instead_of_parenting_lets_no_outsider_choose_what_is_sampled() -> None:  # T2
    observed = Observed(sampler=unsampled())
    name = url()
    service = Service("shop", broker=name, trace_parent="link")

    @service.on(Placed)
    async def charge(order: Placed) -> Paid:
        return Paid(order=order.order)

    out = await emitted(service, observed.telemetry, ("traceparent", CAUSE.encode()))

    assert observed.spans == []
    found = span_context(header(out, "traceparent") or "")
    assert found is not None
    assert found.trace_id != int(TRACE, 16)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        CAUSE[:-1],
        CAUSE + "0",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'g' * 32}-{'1' * 16}-01",
    ],
)
def test_what_is_no_trace_context_is_none(value: str) -> None:
    assert span_context(value) is None


def test_a_trace_context_is_written_as_it_was_read() -> None:
    found = span_context(CAUSE, "a=1")

    assert found is not None
    assert traceparent(found) == CAUSE
    assert found.is_remote


class Broken(SpanProcessor):
    def on_start(self, span: object, parent_context: object = None) -> None:
        raise RuntimeError("broken on start")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("broken on end")


async def test_a_processor_that_fails_costs_no_event(caplog: pytest.LogCaptureFixture) -> None:
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(Broken())

    out = await emitted(paying(url()), Telemetry(tracer_provider=provider))

    assert out.body == b'{"order":"a"}'
    assert "telemetry failed, going on without it" in caplog.messages


def test_without_a_provider_nothing_is_detected() -> None:
    assert Telemetry.detect() is None
    assert Telemetry().silent


def test_providers_that_do_nothing_are_none() -> None:
    nothing = Telemetry(
        tracer_provider=trace.NoOpTracerProvider(), meter_provider=metrics.NoOpMeterProvider()
    )

    assert nothing.silent


def test_a_disabled_sdk_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    assert Telemetry(tracer_provider=TracerProvider(shutdown_on_exit=False)).silent


def run(code: str) -> Sequence[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=8, check=True
    )
    return done.stdout.split()


def test_the_core_does_not_import_the_sdk() -> None:
    code = (
        "import sys, choreo, choreo.runner\n"
        "print(*[name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )

    assert run(code) == []


def test_global_providers_are_detected_where_a_service_starts() -> None:
    code = (
        "from opentelemetry import trace; from opentelemetry.sdk.trace import TracerProvider\n"
        "from choreo.telemetry.telemetry import Telemetry\n"
        "assert Telemetry.detect() is None\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        "print(bool(Telemetry.detect()))"
    )

    assert run(code) == ["True"]


async def test_settings_can_switch_telemetry_off(observed: Observed) -> None:
    service = Service("shop", broker=url(), telemetry=False)

    @service.on(Placed)
    async def charge(order: Placed) -> Paid:
        return Paid(order=order.order)

    out = await emitted(service, observed.telemetry, ("traceparent", CAUSE.encode()))

    assert observed.spans == []
    assert header(out, "traceparent") == CAUSE
    assert observed.values("messaging.client.sent.messages") == {}

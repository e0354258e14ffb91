"""What following events costs: the pipeline in memory with telemetry of each kind, beside none."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from bench.events import orders
from bench.measure import Result, Taken, side_by_side
from bench.memory import COUNT, consumed, written
from choreo.telemetry.telemetry import Telemetry


async def tracing_off(runs: int) -> Result:
    """Measure ``tracing_off``: the API's own providers, which do nothing ÷ no telemetry at all."""
    return await _beside("tracing_off", Telemetry(), runs)


async def tracing_unsampled(runs: int) -> Result:
    """Measure ``tracing_unsampled``: an SDK that takes none of the spans ÷ no telemetry at all."""
    return await _traced("tracing_unsampled", ALWAYS_OFF, runs)


async def tracing_sampled(runs: int) -> Result:
    """Measure ``tracing_sampled``: an SDK that exports every span ÷ no telemetry at all."""
    return await _traced("tracing_sampled", ALWAYS_ON, runs)


class _Nowhere(SpanExporter):
    """An exporter whose other end takes everything at once."""


async def _traced(name: str, sampler: Sampler, runs: int) -> Result:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Nowhere(), max_queue_size=2 * COUNT))
    try:
        return await _beside(name, Telemetry(tracer_provider=provider), runs)
    finally:
        provider.shutdown()


async def _beside(name: str, telemetry: Telemetry, runs: int) -> Result:
    messages = await written(orders(COUNT))

    async def followed() -> Taken:
        return await consumed(messages, telemetry=telemetry)

    async def alone() -> Taken:
        return await consumed(messages)

    return await side_by_side(name, followed, alone, runs=min(runs, 3), unit="µs CPU")

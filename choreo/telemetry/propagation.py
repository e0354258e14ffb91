"""Trace context and baggage between envelopes and OpenTelemetry.

Sources: W3C Trace Context (Recommendation, 2021; level 2 for the random flag), W3C Baggage. What
comes in was judged and cut by the envelope's reader (T2); what goes out is cut here.
"""

from collections.abc import Mapping, Sequence

from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, get_value, set_value
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState

from choreo.envelope import Envelope
from choreo.message import Header

MAX_BAGGAGE = 8_192
"""Bytes that are passed on: what the recommendation asks for at least."""
MAX_MEMBERS = 64

_KNOWN_FLAGS = 0b11
_RECEIVED = "choreo-received-baggage"
_BAGGAGE = W3CBaggagePropagator()
_SIZE = 55


def creation_context(envelope: Envelope) -> SpanContext | None:
    """Read under which span *envelope* was made, where it says so."""
    if envelope.traceparent is None:
        return None
    return span_context(envelope.traceparent, envelope.tracestate)


def span_context(traceparent: str, tracestate: str | None = None) -> SpanContext | None:
    """Read a trace context of version 00; None for what is not one."""
    if len(traceparent) != _SIZE:
        return None
    try:
        flags = int(traceparent[53:], 16) & _KNOWN_FLAGS
        trace, span = int(traceparent[3:35], 16), int(traceparent[36:52], 16)
    except ValueError:
        return None
    state = TraceState.from_header([tracestate]) if tracestate else None
    context = SpanContext(trace, span, True, TraceFlags(flags), state)  # noqa: FBT003 -- is remote
    return context if context.is_valid else None


def header_context(headers: Sequence[Header]) -> SpanContext | None:
    """Read under which span a written message was made."""
    found = {name: value for name, value in headers if name in ("traceparent", "tracestate")}
    parent = found.get("traceparent")
    if parent is None:
        return None
    state = found.get("tracestate")
    return span_context(parent.decode("ascii", "replace"), state.decode() if state else None)


def traceparent(context: SpanContext) -> str:
    """Write a span's context as a ``traceparent`` of version 00."""
    flags = context.trace_flags & _KNOWN_FLAGS
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"


def inject(envelope: Envelope, context: SpanContext) -> None:
    """Let the readers of *envelope* go on from *context*."""
    envelope.traceparent = traceparent(context)
    envelope.tracestate = context.trace_state.to_header() or None


def below(parent: SpanContext | None) -> Context:
    """Make a context in which nothing but *parent* is ambient."""
    return Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())


def links_to(context: SpanContext | None) -> Sequence[Link]:
    """Link to *context* where there is one."""
    return () if context is None else (Link(context),)


def with_baggage(context: Context, text: str) -> Context:
    """Add what an envelope carries as baggage, for the handler to read."""
    context = _BAGGAGE.extract({"baggage": text}, context)
    return set_value(_RECEIVED, dict(baggage.get_all(context)), context)


def inject_baggage(envelope: Envelope) -> None:
    """Pass the running code's baggage on; unchanged it goes on letter by letter.

    The API reads a member's properties as part of its value and would write them escaped.
    """
    entries = baggage.get_all()
    if envelope.baggage is not None and entries == get_value(_RECEIVED):
        return
    envelope.baggage = _written(entries)


def _written(entries: Mapping[str, object]) -> str | None:
    if not entries:
        return None
    carrier: dict[str, str] = {}
    _BAGGAGE.inject(carrier)
    members: list[str] = []
    size = -1
    for member in carrier.get("baggage", "").split(",")[:MAX_MEMBERS]:
        size += len(member) + 1
        if size > MAX_BAGGAGE:
            break
        members.append(member)
    return ",".join(members) or None

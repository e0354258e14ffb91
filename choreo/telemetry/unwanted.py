"""Spans of which it is known beforehand that no sampler wants them: made up when somebody asks.

Most services follow one event in a hundred, or only what their callers follow.  A sampler that says
no to whatever it is asked need not be asked, and the ids of a span that nobody records are needed
only by what goes on from it: a message, a log record, a client of the handler's.  Such a span costs
a tenth of one that the SDK makes to throw away.
"""

from typing import Any, Protocol, cast

from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags, Tracer

OFF = "AlwaysOffSampler"
SDK = "opentelemetry.sdk.trace"
"""Where those tracers and samplers are defined of which it is known what they do."""


class Ids(Protocol):
    """Makes ids, as the SDK's ``IdGenerator`` does."""

    def generate_trace_id(self) -> int:
        """Make one of 128 bits."""
        ...

    def generate_span_id(self) -> int:
        """Make one of 64 bits."""
        ...

    def is_trace_id_random(self) -> bool:
        """Say whether traces' ids are random as W3C Trace Context level 2 means it."""
        ...


class Foreseen:
    """What a tracer's sampler says no to, whatever it is asked.

    Built-in samplers tell by their descriptions, which the specification fixes (OpenTelemetry,
    Tracing SDK, Built-in samplers); nothing is known of others, which are asked each time.
    """

    __slots__ = ("_all", "_ids", "_roots", "_unsampled")

    def __init__(self, spans: Tracer | None) -> None:
        told = _described(spans)
        self._ids: Ids | None = getattr(spans, "id_generator", None)
        known = self._ids is not None
        self._all = known and told == OFF
        self._roots = self._all or (known and told.startswith(f"ParentBased{{root:{OFF},"))
        self._unsampled = self._all or (
            known
            and told.startswith("ParentBased{")
            and told.count("remoteParentNotSampled:")
            == told.count(f"remoteParentNotSampled:{OFF},")
        )

    def unwanted(self, parent: SpanContext | None) -> Span | None:
        """Give the span below *parent*, which came from elsewhere, if no sampler wants it."""
        if parent is None:
            no = self._roots
        elif parent.trace_flags & TraceFlags.SAMPLED:
            no = self._all
        else:
            no = self._unsampled
        return Unwanted(parent, cast("Ids", self._ids)) if no else None


class Unwanted(NonRecordingSpan):
    """A span that is not recorded, whose ids are made when somebody asks for them."""

    def __init__(self, parent: SpanContext | None, ids: Ids) -> None:
        # What it is otherwise made with does not exist yet.
        self._parent = parent
        self._ids = ids
        self._made: list[SpanContext] = []

    def get_span_context(self) -> SpanContext:
        """Tell its ids: the same to all who ask."""
        if not self._made:
            self._made.append(self._make())
        return self._made[0]

    def _make(self) -> SpanContext:
        parent, ids = self._parent, self._ids
        random = ids.is_trace_id_random() if parent is None else parent.trace_flags.random_trace_id
        return SpanContext(
            ids.generate_trace_id() if parent is None else parent.trace_id,
            ids.generate_span_id(),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.RANDOM_TRACE_ID if random else TraceFlags.DEFAULT),
            trace_state=None if parent is None else parent.trace_state,
        )

    def __repr__(self) -> str:
        """Name it by its ids."""
        return f"Unwanted({self.get_span_context()!r})"


def _described(spans: Tracer | None) -> str:
    sampler: Any = getattr(spans, "sampler", None)
    ours = type(spans).__module__ == SDK and type(sampler).__module__ == f"{SDK}.sampling"
    return str(sampler.get_description()) if ours else ""

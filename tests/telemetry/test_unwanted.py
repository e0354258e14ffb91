import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState

from choreo.telemetry.propagation import below
from choreo.telemetry.unwanted import Foreseen


class Whim(Sampler):
    """A sampler of somebody's own, which says it is a built-in one."""

    def should_sample(self, *_: object, **__: object) -> SamplingResult:
        return ALWAYS_ON.should_sample(None, 1, "")

    def get_description(self) -> str:
        return ALWAYS_OFF.get_description()


SAMPLERS: dict[str, Sampler] = {
    "off": ALWAYS_OFF,
    "on": ALWAYS_ON,
    "ratio": TraceIdRatioBased(0.5),
    "none": TraceIdRatioBased(0.0),
    "parent or off": ParentBased(ALWAYS_OFF),
    "parent or on": ParentBased(ALWAYS_ON),
    "parent or ratio": ParentBased(TraceIdRatioBased(0.01)),
    "whatever the parent": ParentBased(ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON),
    "nested": ParentBased(ParentBased(ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON)),
    "whim": Whim(),
}


def context(trace: int, span: int, flags: int, state: TraceState | None) -> SpanContext:
    return SpanContext(
        trace, span, is_remote=True, trace_flags=TraceFlags(flags), trace_state=state
    )


parents = st.none() | st.builds(
    context,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 3),
    st.sampled_from([None, TraceState([("vendor", "1")])]),
)


@given(parents, st.sampled_from(sorted(SAMPLERS)))
def test_what_is_foreseen_is_what_the_sdk_makes_of_it(
    parent: SpanContext | None, name: str
) -> None:
    spans = TracerProvider(sampler=SAMPLERS[name], shutdown_on_exit=False).get_tracer("test")

    foreseen = Foreseen(spans).unwanted(parent)

    if foreseen is not None:
        made = spans.start_span("process", below(parent), SpanKind.CONSUMER, {}, ())
        ours, theirs = foreseen.get_span_context(), made.get_span_context()
        assert not made.is_recording()
        assert not foreseen.is_recording()
        assert ours.is_valid
        assert ours.trace_flags == theirs.trace_flags
        assert ours.trace_state == theirs.trace_state
        assert (ours.trace_id == theirs.trace_id) == (parent is not None)
        assert ours.is_remote == theirs.is_remote


@pytest.mark.parametrize(
    ("name", "roots", "sampled", "unsampled"),
    [
        ("off", True, True, True),
        ("on", False, False, False),
        ("ratio", False, False, False),
        ("none", False, False, False),
        ("parent or off", True, False, True),
        ("parent or on", False, False, True),
        ("parent or ratio", False, False, True),
        ("whatever the parent", True, False, False),
        ("nested", False, False, False),
        ("whim", False, False, False),
    ],
)
def test_a_built_in_sampler_is_not_asked_what_it_says_no_to_anyway(
    name: str,
    roots: bool,
    sampled: bool,
    unsampled: bool,
) -> None:
    spans = TracerProvider(sampler=SAMPLERS[name], shutdown_on_exit=False).get_tracer("test")
    foreseen = Foreseen(spans)
    followed = SpanContext(7, 7, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    found = [foreseen.unwanted(each) for each in (None, followed, SpanContext(7, 7, True))]  # noqa: FBT003

    assert [span is not None for span in found] == [roots, sampled, unsampled]


def test_whoever_asks_an_unwanted_span_for_its_ids_hears_the_same() -> None:
    spans = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test")

    span = Foreseen(spans).unwanted(None)

    assert span is not None
    assert span.get_span_context() == span.get_span_context()
    assert f"{span.get_span_context()!r}" in repr(span)


def test_what_goes_on_from_an_unwanted_span_is_in_its_trace() -> None:
    spans = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    span = Foreseen(spans.get_tracer("test")).unwanted(None)
    assert isinstance(span, NonRecordingSpan)

    below_it = spans.get_tracer("other").start_span("client call", set_span_in_context(span))

    assert below_it.get_span_context().trace_id == span.get_span_context().trace_id
    assert not below_it.is_recording()


def test_ids_are_made_by_the_provider_s_generator() -> None:
    class Counting(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            return 42

    provider = TracerProvider(sampler=ALWAYS_OFF, id_generator=Counting(), shutdown_on_exit=False)

    span = Foreseen(provider.get_tracer("test")).unwanted(None)

    assert span is not None
    assert span.get_span_context().trace_id == 42


def test_nothing_is_foreseen_without_an_sdk() -> None:
    assert Foreseen(None).unwanted(None) is None

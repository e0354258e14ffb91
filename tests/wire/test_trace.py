"""Trace context from outside is valid or left out, and never a reason to refuse an event (T2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.broker import Binding
from choreo.cloudevents import EnvelopeReader
from choreo.cloudevents.trace import read_baggage, read_traceparent, read_tracestate
from choreo.envelope import Envelope
from choreo.message import Delivery, Header

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
EVENT: list[Header] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"s"),
    ("ce_type", b"t"),
]


def read(*some: Header) -> Envelope:
    found = EnvelopeReader(Binding.KAFKA).read(Delivery("t", b"", None, [*EVENT, *some]))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (PARENT, PARENT),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"01-{TRACE}-{SPAN}-01", PARENT),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", PARENT),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}{SPAN}--01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"0-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}_{SPAN}-01", None),
        ("", None),
        (None, None),
    ],
)
def test_a_traceparent_is_read_strictly(value: str | None, expected: str | None) -> None:
    assert read_traceparent(None if value is None else value.encode()) == expected


@given(st.binary(max_size=120))
def test_no_bytes_make_the_trace_context_fail(value: bytes) -> None:
    for some in ([value], [value, value], [None, value], [b"a=1", value]):
        assert read_traceparent(value) is None
        read_tracestate(list(some))
        read_baggage(list(some))


def test_a_bad_or_repeated_traceparent_takes_the_tracestate_with_it() -> None:
    good, state = ("traceparent", PARENT.encode()), ("tracestate", b"a=1")

    assert (read(good, state).traceparent, read(good, state).tracestate) == (PARENT, "a=1")
    assert read(("traceparent", b"nonsense"), state).tracestate is None
    assert (read(good, good, state).traceparent, read(good, good, state).tracestate) == (None, None)
    assert read(state).tracestate is None


def test_lists_over_several_headers_are_joined() -> None:
    found = read(
        ("traceparent", PARENT.encode()),
        ("tracestate", b"a=1"),
        ("tracestate", b" b=2 ,, c@d=3"),
        ("baggage", b"x=1;p"),
        ("baggage", b"y = %20"),
    )

    assert (found.tracestate, found.baggage) == ("a=1,b=2,c@d=3", "x=1;p,y = %20")


@pytest.mark.parametrize(
    "value",
    [b"A=1", b"a=1,a=2", b"a", b"a=\x01", b"=1", b"\xff=1", b"a=" + b"x" * 600,
     b",".join(b"k%d=1" % number for number in range(33))],
)  # fmt: skip
def test_an_invalid_tracestate_is_dropped(value: bytes) -> None:
    assert read_tracestate([value]) is None


def test_a_megabyte_of_baggage_is_cut_t2() -> None:
    huge = b",".join(b"key%d=%d" % (number, number) for number in range(60_000))

    found = read_baggage([huge])

    assert found is not None
    assert len(found) <= 8192
    assert found.count(",") < 64
    assert read_baggage([b"k=" + b"x" * 1_000_000]) is None

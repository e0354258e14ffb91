"""Messages of one kind, written without an envelope: what they say twice, and of whom."""

from dataclasses import replace

import pytest

from choreo.broker import Binding
from choreo.cloudevents import EnvelopeWriter
from choreo.cloudevents.stencil import MAX_SOURCES
from choreo.envelope import Envelope

ORDER = Envelope(
    id="1",
    source="/shop",
    type="OrderPlaced.v1",
    data=b"{}",
    time="2026-01-31T12:00:00.000000Z",
)


@pytest.mark.parametrize("key", [None, "customer-7", "", "customer\t7", "kunde-\xfc"])
@pytest.mark.parametrize(
    ("correlation", "cause", "source"),
    [
        ("1", None, None),
        ("1", "1", None),
        ("c", "c", "/till"),
        ("c", "b", "/till"),
        ("c", "", None),
        ("c", "b", ""),
        ("c", "b", "/till\x7f"),
        ("c", "b", "/" * 513),
    ],
)
def test_what_is_said_twice_is_judged_and_written_as_each_is(
    key: str | None, correlation: str, cause: str | None, source: str | None
) -> None:
    writer = EnvelopeWriter(Binding.KAFKA)
    writer.write(ORDER, "orders")
    stencil = writer.stencil(ORDER.source, ORDER.type, ORDER.content_type)
    assert stencil is not None
    emitted = replace(ORDER, id="1", key=key, correlation_id=correlation, causation_id=cause)
    emitted.causation_source, emitted.hops = source, 0 if cause is None else 1

    of = (correlation, cause, source, emitted.hops)
    found = stencil("orders", b"{}", key, "1", emitted.time or "", of)

    if key in (None, "customer-7") and cause != "" and source in (None, "/till"):
        assert found == writer.write(emitted, "orders")
    else:
        assert found is None


def test_a_thousand_sources_of_causes_are_each_written_as_it_is() -> None:
    writer = EnvelopeWriter(Binding.KAFKA)
    writer.write(ORDER, "orders")
    stencil = writer.stencil(ORDER.source, ORDER.type, ORDER.content_type)
    assert stencil is not None
    origins = [f"/till/{number}" for number in range(MAX_SOURCES + 2)]

    found = [
        message
        for source in (*origins, *origins[:3])
        if (message := stencil("orders", b"{}", None, "1", "now", ("c", "b", source, 1)))
    ]

    assert [dict(message.headers)["ce_causationsource"] for message in found] == [
        source.encode() for source in (*origins, *origins[:3])
    ]

"""Reading envelopes in binary mode: what is one, what is foreign, what is malformed."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.broker import Binding
from choreo.cloudevents import EnvelopeReader, EnvelopeWriter, Limits
from choreo.envelope import Envelope
from choreo.errors import DecodeError, EncodeError, MalformedEnvelope, UnsupportedSpecVersion
from choreo.message import Delivery, Header

REQUIRED = {"specversion": "1.0", "id": "7", "source": "urn:choreo:shop", "type": "Placed.v1"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
bindings = pytest.mark.parametrize("binding", list(Binding))


def headers(binding: Binding, **attributes: str | bytes | None) -> list[Header]:
    found = {**REQUIRED, **attributes}
    return [
        (f"{binding.value}{name}", text.encode() if isinstance(text, str) else text)
        for name, text in found.items()
    ]


def read(binding: Binding, some: list[Header], body: bytes | None = b"{}") -> Envelope | None:
    return EnvelopeReader(binding).read(Delivery("orders", body, None, some))


def refused(binding: Binding, some: list[Header]) -> str:
    with pytest.raises(MalformedEnvelope) as caught:
        read(binding, some)
    return str(caught.value)


@bindings
def test_every_attribute_finds_its_field(binding: Binding) -> None:
    some = headers(
        binding, time="2026-01-31T12:00:00.5+01:00", subject="ü", partitionkey="k",
        dataschema="urn:x", correlationid="c", causationid="b", causationsource="s", hopcount="3",
        sequence="00000000000000000001", idempotencykey="i", recordedtime="2026-01-31T12:00:00Z",
        mine="kept",
    )  # fmt: skip

    found = read(
        binding, [*some, ("content-type", b"text/plain"), ("traceparent", PARENT.encode())]
    )

    assert found is not None
    assert (found.id, found.source, found.type) == ("7", "urn:choreo:shop", "Placed.v1")
    assert (found.content_type, found.subject, found.key) == ("text/plain", "ü", "k")
    assert (found.correlation_id, found.causation_id, found.causation_source) == ("c", "b", "s")
    assert (found.hops, found.sequence, found.stream_id) == (3, "00000000000000000001", None)
    assert (found.dataschema, found.idempotency_key) == ("urn:x", "i")
    assert found.occurred == datetime(2026, 1, 31, 11, 0, 0, 500_000, tzinfo=UTC)
    assert found.extensions == {"recordedtime": "2026-01-31T12:00:00Z", "mine": "kept"}
    assert (found.traceparent, found.data, found.foreign) == (PARENT, b"{}", False)


@bindings
def test_a_record_without_any_required_attribute_is_foreign(binding: Binding) -> None:
    assert read(binding, []) is None
    assert read(binding, [("content-type", b"application/json"), ("x-y", b"\xff")]) is None
    assert read(binding, [(f"{binding.value}subject", b"a")]) is None


@bindings
@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_record_with_some_required_attributes_is_malformed(binding: Binding, name: str) -> None:
    some = [header for header in headers(binding) if header[0] != f"{binding.value}{name}"]

    assert f"'{name}'" in refused(binding, some)


@bindings
def test_a_repeated_attribute_is_malformed_and_neither_wins(binding: Binding) -> None:
    some = [*headers(binding, mine="a"), (f"{binding.value}mine", b"b")]

    assert "'mine'" in refused(binding, some)


@bindings
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", ""),
        ("id", None),
        ("id", b"\xff"),
        ("type", "a\nb"),
        ("type", "a\x00b"),
        ("source", "with blank"),
        ("source", ""),
        ("subject", "\x85"),
        ("subject", "\ufdd0"),
        ("mine", "\U0001fffe"),
        ("time", "yesterday"),
        ("time", "2026-01-31"),
        ("time", "2026-01-31T12:00:00"),
        ("time", "2026-W05-6T12:00:00.000000Z"),
        ("time", "2026-02-30T12:00:00Z"),
        ("expirytime", "soon"),
        ("hopcount", "-1"),
        ("hopcount", "1.5"),
        ("hopcount", "007"),
        ("hopcount", "2147483648"),
        ("hopcount", "٣"),
        ("partitionkey", ""),
    ],
)
def test_an_invalid_value_is_malformed_and_named_but_not_told(
    binding: Binding, name: str, value: str | bytes | None
) -> None:
    text = refused(binding, headers(binding, **{name: value}))

    assert f"'{name}'" in text
    if isinstance(value, str) and len(value) > 3:
        assert value not in text


def test_on_kafka_the_prefix_is_read_in_any_case_and_the_name_is_not() -> None:
    some = headers(Binding.KAFKA)

    found = read(Binding.KAFKA, [(name.replace("ce_", "CE_"), value) for name, value in some])

    assert found is not None
    assert "illegal name" in refused(Binding.KAFKA, [*some, ("ce_Mine", b"a")])
    assert "illegal name" in refused(Binding.KAFKA, [*some, ("ce_my-own", b"a")])
    assert "illegal name" in refused(Binding.KAFKA, [*some, ("ce_data", b"a")])
    assert "illegal name" in refused(Binding.KAFKA, [("CE_ID", b"1"), *some[1:]])


def test_on_mqtt_names_with_a_dash_belong_to_the_transport() -> None:
    some = [*headers(Binding.MQTT), ("choreo-attempt", b"9"), ("X", b"\xff"), ("mine", b"a")]

    found = read(Binding.MQTT, some)

    assert found is not None
    assert found.extensions == {"mine": "a"}


def test_on_kafka_the_origins_trace_is_an_extension_and_the_hops_is_not() -> None:
    some = [*headers(Binding.KAFKA, traceparent="origin"), ("traceparent", PARENT.encode())]

    found = read(Binding.KAFKA, some)

    assert found is not None
    assert (found.traceparent, found.extensions) == (PARENT, {"traceparent": "origin"})


@bindings
def test_the_content_type_wins_over_the_attribute(binding: Binding) -> None:
    some = headers(binding, datacontenttype="text/plain")

    alone, beaten = (
        read(binding, some),
        read(binding, [*some, ("content-type", b"application/avro")]),
    )

    assert alone is not None
    assert beaten is not None
    assert (alone.content_type, beaten.content_type) == ("text/plain", "application/avro")


@bindings
@pytest.mark.parametrize("version", ["0.3", "1.1", "1", "", "2.0\n", None])
def test_another_specversion_is_told_apart_from_malformed(
    binding: Binding, version: str | None
) -> None:
    expected = UnsupportedSpecVersion if version is not None else MalformedEnvelope
    with pytest.raises(expected):
        read(binding, headers(binding, specversion=version))
    with pytest.raises(expected):
        read(binding, headers(binding, specversion=version)[:1])


@bindings
def test_a_number_within_a_stream_is_kept_apart_from_one_within_the_source(
    binding: Binding,
) -> None:
    found = read(binding, headers(binding, sequence="5", streamid="s", streamseq="2"))
    half = read(binding, headers(binding, sequence="5", streamid="s"))

    assert found is not None
    assert half is not None
    assert (found.sequence, found.stream_id, found.extensions) == ("2", "s", {"sequence": "5"})
    assert (half.sequence, half.stream_id, half.extensions) == ("5", None, {"streamid": "s"})


@bindings
def test_a_tombstone_is_an_event_without_data_k29(binding: Binding) -> None:
    found = read(binding, headers(binding), None)

    assert found is not None
    assert found.data is None


@bindings
def test_too_many_and_too_long_attributes_are_malformed_t3(binding: Binding) -> None:
    many = headers(binding, **{f"a{number}": "x" for number in range(70)})
    long = headers(binding, mine="x" * 20_000)
    reader = EnvelopeReader(binding, limits=Limits(attributes=4))

    assert "64 attributes" in refused(binding, many)
    assert "bytes" in refused(binding, long)
    with pytest.raises(MalformedEnvelope, match="4 attributes"):
        reader.read(Delivery("t", b"", None, headers(binding, mine="a", other="b")))


def test_ten_thousand_headers_of_a_foreign_record_are_none_of_our_business_t3() -> None:
    assert read(Binding.KAFKA, [(f"x-{number}", b"a") for number in range(10_000)]) is None


def test_header_layouts_are_remembered_within_bounds_t3() -> None:
    reader = EnvelopeReader(Binding.KAFKA)

    for number in range(5_000):
        reader.read(Delivery("t", b"", None, [(f"x-{number}", b"a")]))

    assert len(reader._plans) <= 1024


words = st.sampled_from(
    ["id", "source", "type", "specversion", "time", "hopcount", "data", "content-type", "streamid",
     "streamseq", "traceparent", "tracestate", "baggage", "mine", "expirytime"]
)  # fmt: skip
values = (
    st.none()
    | st.binary(max_size=30)
    | st.sampled_from(
        [b"1.0", b"1", b"urn:x", b"application/cloudevents+json", b"2026-01-31T12:00:00Z"]
    )
)
raw = st.lists(
    st.tuples(words | words.map("ce_{}".format) | st.text(max_size=12), values), max_size=14
)


@given(binding=st.sampled_from(list(Binding)), some=raw, body=st.none() | st.binary(max_size=50))
def test_reading_returns_or_raises_a_decode_error_whatever_comes(
    binding: Binding, some: list[Header], body: bytes | None
) -> None:
    with suppress(DecodeError):
        EnvelopeReader(binding).read(Delivery("orders", body, None, some))


@given(binding=st.sampled_from(list(Binding)), some=raw)
def test_what_is_broken_in_a_whole_envelope_is_refused_by_name(
    binding: Binding, some: list[Header]
) -> None:
    with suppress(DecodeError):
        read(binding, [*headers(binding), *some])


legal = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=12)
optional = st.none() | legal
times = st.none() | st.sampled_from(["2026-01-31T12:00:00.000000Z", "2026-12-31T23:59:60+00:00"])
envelopes = st.builds(
    Envelope,
    id=legal,
    source=st.sampled_from(["urn:choreo:shop", "/a/b?c#d", "https://x.example/%C3%BC"]),
    type=legal,
    data=st.none() | st.binary(max_size=20),
    content_type=st.sampled_from(["application/json", "text/plain; charset=utf-8"]),
    time=times,
    subject=optional,
    key=optional,
    dataschema=optional,
    correlation_id=optional,
    causation_id=optional,
    causation_source=optional,
    hops=st.integers(0, 2**31 - 1),
    sequence=legal,
    stream_id=optional,
    idempotency_key=optional,
    traceparent=st.none() | st.just(PARENT),
    baggage=st.none() | st.just("a=1"),
    extensions=st.dictionaries(st.from_regex(r"x[a-z0-9]{1,8}", fullmatch=True), legal, max_size=3),
)


@given(binding=st.sampled_from(list(Binding)), envelope=envelopes)
def test_what_is_written_is_read_and_forwarding_loses_nothing(
    binding: Binding, envelope: Envelope
) -> None:
    message = EnvelopeWriter(binding).write(envelope, "orders")

    found = EnvelopeReader(binding).read(
        Delivery(message.topic, message.body, message.key, message.headers)
    )

    assert found is not None
    assert as_dict(found) == as_dict(envelope)


def as_dict(envelope: Envelope) -> dict[str, Any]:
    return {name: getattr(envelope, name) for name in Envelope.__slots__}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": "a\nb"},
        {"type": "\ud800"},
        {"source": "not a uri"},
        {"hops": -1},
        {"hops": 2**31},
        {"time": "now"},
        {"key": "a\x7f"},
        {"key": ""},
        {"content_type": "application/cloudevents+json"},
        {"extensions": {"id": "2"}},
        {"extensions": {"My-Own": "2"}},
        {"extensions": {"data": "2"}},
        {"extensions": {"expirytime": "soon"}},
        {"extensions": {"mine": "x" * 20_000}},
    ],
)
@bindings
def test_what_no_reader_would_accept_is_not_written(
    binding: Binding, changes: dict[str, Any]
) -> None:
    values: dict[str, Any] = {"id": "1", "source": "s", "type": "t", "data": b""}

    with pytest.raises(EncodeError):
        EnvelopeWriter(binding).write(Envelope(**{**values, **changes}), "orders")


def test_the_record_key_is_the_partition_key_unless_given_and_absent_on_mqtt() -> None:
    envelope = Envelope(id="1", source="s", type="t", data=b"", key="ü")
    kafka, mqtt = EnvelopeWriter(Binding.KAFKA), EnvelopeWriter(Binding.MQTT)

    assert kafka.write(envelope, "t").key == "ü".encode()
    assert kafka.write(envelope, "t", b"\xff").key == b"\xff"
    assert mqtt.write(envelope, "t", b"\xff").key is None
    assert ("partitionkey", "ü".encode()) in mqtt.write(envelope, "t").headers


def test_mqtt_cannot_carry_the_origins_trace_beside_its_own() -> None:
    envelope = Envelope(
        id="1", source="s", type="t", data=b"", traceparent=PARENT, extensions={"traceparent": "o"}
    )

    message = EnvelopeWriter(Binding.MQTT).write(envelope, "t")

    assert [value for name, value in message.headers if name == "traceparent"] == [PARENT.encode()]

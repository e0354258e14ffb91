"""What was read or written before changes how fast, and never what, is read and written."""

import copy
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.broker import Binding
from choreo.cloudevents import EnvelopeReader, EnvelopeWriter, Limits
from choreo.cloudevents.plain import MAX_SECONDS, MAX_WORDS, PlainEnvelope
from choreo.cloudevents.reader import MAX_PLAIN, MAX_PLANS
from choreo.cloudevents.stencil import Lineage
from choreo.cloudevents.unrolled import unrolled
from choreo.envelope import Envelope
from choreo.errors import DecodeError, EncodeError, MalformedEnvelope
from choreo.message import Delivery, Header

PLAIN = {
    "ce_specversion": b"1.0",
    "ce_id": b"1",
    "ce_source": b"/shop",
    "ce_type": b"Order.v1",
    "content-type": b"application/json",
    "ce_time": b"2026-01-31T12:00:00.000000Z",
    "ce_partitionkey": b"customer-7",
    "ce_hopcount": b"3",
    "ce_colour": b"blue",
    "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
ODD = (
    None,
    b"",
    b"x",
    b"\x00",
    b"a\x7fb",
    b"\xff",
    "käse".encode(),
    b"http://a b",
    b"application/cloudevents+json",
    b"application/avro",
    b"2026-01-31T12:00:00.0000000Z",
    b"2026-01-31T12:00:00.00000xZ",
    b"2026-01-31T12:00:00.123456Z",
    b"2026-01-31T12:00:00Z",
    b"2026-02-31T12:00:00.000000Z",
    b"03",
    b"65",
    b"2147483648",
    b"z" * 300,
    b"z" * 17_000,
)
NAMES = (*PLAIN, "ce_sequence", "ce_streamid", "ce_streamseq", "ce_expirytime", "ce_id", "baggage")

Headers = dict[str, bytes | None]


def delivery(headers: Headers) -> Delivery:
    return Delivery("orders", b"{}", None, tuple(headers.items()))


def outcome(reader: EnvelopeReader, headers: Headers) -> object:
    try:
        envelope = reader.read(delivery(headers))
    except DecodeError as error:
        return type(error), str(error)
    return None if envelope is None else values(envelope)


def values(envelope: Envelope) -> dict[str, object]:
    return {field.name: getattr(envelope, field.name) for field in fields(Envelope)}


def taught() -> EnvelopeReader:
    reader = EnvelopeReader(Binding.KAFKA)
    for _ in range(2):  # the long way teaches words, the short way seconds
        reader.read(delivery({**PLAIN}))
    return reader


def changed() -> st.SearchStrategy[Headers]:
    """Headers of which some are odd, some are absent, and some are no attributes."""
    odd = st.sampled_from(ODD) | st.binary(max_size=30) | st.sampled_from([*PLAIN.values()])
    changes = st.dictionaries(st.sampled_from(NAMES), odd, max_size=3)
    return st.builds(merged, changes, st.sets(st.sampled_from(NAMES), max_size=3))


def merged(change: Headers, absent: set[str]) -> Headers:
    return {name: value for name, value in {**PLAIN, **change}.items() if name not in absent}


@settings(max_examples=400)
@given(st.lists(changed(), min_size=1, max_size=4))
def test_a_reader_reads_and_refuses_the_same_whatever_it_has_read_before(
    before: list[Headers],
) -> None:
    experienced = taught()

    found = [outcome(experienced, headers) for headers in (*before, before[0])]

    assert found == [
        outcome(EnvelopeReader(Binding.KAFKA), headers) for headers in (*before, before[0])
    ]


def test_the_second_message_of_a_producer_is_read_in_one_pass_with_every_attribute() -> None:
    reader = taught()

    second = reader.read(delivery({**PLAIN, "ce_id": b"2"}))

    assert isinstance(second, PlainEnvelope)
    first = EnvelopeReader(Binding.KAFKA).read(delivery({**PLAIN, "ce_id": b"2"}))
    assert first is not None
    assert values(second) == values(first)


def test_a_type_that_was_read_before_is_not_therefore_a_source() -> None:
    reader = EnvelopeReader(Binding.KAFKA)
    reader.read(delivery({**PLAIN, "ce_type": b"no URI"}))

    with pytest.raises(MalformedEnvelope, match="source"):
        reader.read(delivery({**PLAIN, "ce_source": b"no URI"}))


@pytest.mark.parametrize("more", [0, 1])
def test_the_cap_on_attributes_is_met_to_the_byte_by_what_is_plain(more: int) -> None:
    reader = EnvelopeReader(Binding.KAFKA, limits=Limits(attribute_bytes=2_000))
    reader.read(delivery({**PLAIN}))
    used = sum(
        len(name.removeprefix("ce_")) + len(value) + 1
        for name, value in {**PLAIN, "datacontenttype": b"application/json"}.items()
        if name not in ("ce_specversion", "traceparent", "content-type", "ce_id")
    )
    identity = b"i" * (2_000 - used - len("id") + more)

    found = outcome(reader, {**PLAIN, "ce_id": identity})

    assert isinstance(found, tuple) == bool(more)


def test_what_is_set_on_an_envelope_stays_whatever_its_headers_said() -> None:
    envelope = taught().read(delivery({**PLAIN}))
    assert envelope is not None

    envelope.traceparent, envelope.key = None, "another"

    assert (envelope.traceparent, envelope.key) == (None, "another")
    assert envelope.time == "2026-01-31T12:00:00.000000Z"


def test_an_envelope_that_was_read_in_one_pass_can_be_copied_replaced_and_shown() -> None:
    envelope = taught().read(delivery({**PLAIN}))
    assert isinstance(envelope, PlainEnvelope)

    copies = (copy.copy(envelope), replace(envelope), replace(envelope, key="x"))

    assert [each.key for each in copies] == ["customer-7", "customer-7", "x"]
    assert "2026-01-31T12:00:00.000000Z" in repr(envelope)
    with pytest.raises(AttributeError, match="colour"):
        attrgetter("colour")(envelope)


def test_made_up_words_and_seconds_take_no_memory_without_end_t03() -> None:
    reader = taught()

    for number in range(MAX_SECONDS + 100):
        moment = f"20{number // 3600 % 100:02}-01-31T12:{number // 60 % 60:02}:{number % 60:02}"
        headers: Headers = {**PLAIN, "ce_time": f"{moment}.000000Z".encode()}
        reader.read(delivery({**headers, "ce_type": f"Made{number}.v1".encode()}))

    known = reader._known
    assert len(known) <= MAX_WORDS
    assert len(known.seconds) <= MAX_SECONDS
    assert outcome(reader, {**PLAIN}) == outcome(EnvelopeReader(Binding.KAFKA), {**PLAIN})


def test_made_up_layouts_have_no_readers_made_for_them_without_end_t03() -> None:
    reader, compiled = EnvelopeReader(Binding.KAFKA), unrolled.cache_info().misses

    for number in range(MAX_PLANS + MAX_PLAIN):
        made_up: Headers = {f"{at}": b"" for at in range(number % 17)}
        for _ in range(2):
            reader.read(delivery({**made_up, **PLAIN, f"x-{number}": b""}))

    assert len(reader._plain) <= MAX_PLAIN
    assert unrolled.cache_info().misses - compiled <= 17
    assert outcome(reader, {**PLAIN}) == outcome(EnvelopeReader(Binding.KAFKA), {**PLAIN})


def test_messages_of_two_layouts_in_turn_are_all_read_in_one_pass() -> None:
    reader, other = taught(), {**PLAIN, "ce_correlationid": b"7", "x-mine": None}
    for _ in range(2):
        reader.read(delivery(other))

    found = [reader.read(delivery(headers)) for headers in (PLAIN, other) * 2]  # type: ignore[arg-type]

    assert all(isinstance(each, PlainEnvelope) for each in found)
    assert [each and each.correlation_id for each in found] == [None, "7"] * 2


@pytest.mark.parametrize("name", ["ce_time", "ce_source", "ce_partitionkey", "ce_hopcount"])
@pytest.mark.parametrize("value", ODD)
def test_one_odd_value_among_what_was_read_before_is_judged_as_ever(
    name: str, value: bytes | None
) -> None:
    headers: Headers = {**PLAIN, name: value}

    found = outcome(taught(), headers)

    assert found == outcome(EnvelopeReader(Binding.KAFKA), headers)


TEXTS = st.sampled_from(
    ["1", "/shop", "Order.v1", "", "a b", "\x00", "\x85", "käse", "\ud800", "x" * 20_000]
)
TIMES = st.sampled_from(
    ["2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00.00000xZ", "2026-02-31T12:00:00.000000Z"]
)


def envelopes() -> st.SearchStrategy[Envelope]:
    maybe = st.none() | TEXTS
    few = st.fixed_dictionaries(
        {},
        optional={
            "time": st.none() | TIMES | TEXTS,
            "content_type": TEXTS | st.just("application/cloudevents+json"),
            "hops": st.sampled_from([0, 1, 64, 65, -1, 2**31]),
            "extensions": st.dictionaries(st.sampled_from(["colour", "id"]), TEXTS, max_size=1),
            **dict.fromkeys(
                ("id", "source", "type"), TEXTS
            ),
            **dict.fromkeys(
                ("key", "correlation_id", "causation_id", "causation_source", "sequence",
                 "stream_id", "subject", "dataschema", "idempotency_key"), maybe
            ),
        },
    )  # fmt: skip
    return few.map(made)


def made(some: dict[str, Any]) -> Envelope:
    return replace(ORDER, **some)


ORDER = Envelope(
    "1", "/shop", "Order.v1", b"{}", time="2026-01-31T12:00:00.000000Z", key="customer-7", hops=3
)


def written(writer: EnvelopeWriter, envelope: Envelope) -> list[Header] | str:
    try:
        return list(writer.write(envelope, "orders").headers)
    except EncodeError as error:
        return str(error)


@settings(max_examples=400)
@given(st.lists(envelopes(), min_size=1, max_size=4))
@pytest.mark.parametrize("binding", list(Binding))
def test_a_writer_writes_and_refuses_the_same_whatever_it_has_written_before(
    binding: Binding, before: list[Envelope]
) -> None:
    experienced = EnvelopeWriter(binding)

    found = [written(experienced, each) for each in (ORDER, ORDER, *before, before[0], ORDER)]

    assert found == [
        written(EnvelopeWriter(binding), each) for each in (ORDER, ORDER, *before, before[0], ORDER)
    ]


def test_every_attribute_of_what_is_emitted_is_written_where_it_was_written_before() -> None:
    emitted = replace(ORDER, correlation_id="c", causation_id="b", causation_source="/till")
    writer = EnvelopeWriter(Binding.KAFKA)

    long_way, short_way = written(writer, emitted), written(writer, emitted)

    assert short_way == long_way
    assert isinstance(short_way, list)
    assert [name for name, _ in short_way] == [
        "ce_specversion", "ce_id", "ce_source", "ce_type", "content-type", "ce_time",
        "ce_partitionkey", "ce_correlationid", "ce_causationid", "ce_causationsource",
        "ce_hopcount",
    ]  # fmt: skip


@settings(max_examples=150)
@given(envelopes())
@pytest.mark.parametrize("binding", list(Binding))
def test_what_is_written_without_an_envelope_is_what_its_envelope_says(
    binding: Binding, envelope: Envelope
) -> None:
    envelope = replace(
        ORDER,
        **{name: getattr(envelope, name) for name in ("id", "key", "causation_id", "hops")},
        causation_source=envelope.causation_source,
        correlation_id=envelope.correlation_id or "c",
    )
    writer = EnvelopeWriter(binding)
    writer.write(ORDER, "orders")
    stencil = writer.stencil(ORDER.source, ORDER.type, ORDER.content_type)
    assert stencil is not None

    message = stencil(
        "orders", envelope.data, envelope.key, envelope.id, envelope.time or "", lineage(envelope)
    )

    found = written(EnvelopeWriter(binding), envelope)
    assert message is None or list(message.headers) == found
    if message is not None:
        assert message == writer.write(envelope, "orders")


def test_what_is_plain_needs_no_envelope() -> None:
    writer = EnvelopeWriter(Binding.KAFKA)
    before = writer.stencil(ORDER.source, ORDER.type, ORDER.content_type)
    writer.write(ORDER, "orders")

    stencil = writer.stencil(ORDER.source, ORDER.type, ORDER.content_type)

    assert before is None
    assert stencil is not None
    emitted = replace(ORDER, correlation_id="c", causation_id="b", causation_source="/till")
    assert stencil(
        "orders", b"{}", "customer-7", "1", emitted.time or "", lineage(emitted)
    ) == writer.write(emitted, "orders")


def lineage(envelope: Envelope) -> Lineage:
    return (
        envelope.correlation_id or "",
        envelope.causation_id,
        envelope.causation_source,
        envelope.hops,
    )

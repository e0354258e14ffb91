"""Structured mode: the whole event in one JSON document, accepted on every transport."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.broker import Binding
from choreo.cloudevents import EnvelopeReader, to_structured_json
from choreo.envelope import Envelope
from choreo.errors import DecodeError, EncodeError, MalformedEnvelope, UnsupportedSpecVersion
from choreo.message import Delivery, Header
from tests.wire.test_reader import as_dict, envelopes

EVENT: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "urn:s", "type": "T.v1"}
JSON_TYPE = b"application/cloudevents+json"


def read(
    body: bytes | str | None,
    *some: Header,
    kind: bytes = JSON_TYPE,
    binding: Binding = Binding.KAFKA,
) -> Envelope:
    data = body.encode() if isinstance(body, str) else body
    found = EnvelopeReader(binding).read(Delivery("t", data, None, [("content-type", kind), *some]))
    assert found is not None
    return found


def document(**members: object) -> str:
    return json.dumps({**EVENT, **members})


@pytest.mark.parametrize("binding", list(Binding))
def test_the_mode_is_told_by_the_content_type_alone(binding: Binding) -> None:
    prefix = binding.value
    some = [(f"{prefix}id", b"99"), (f"{prefix}id", b"98"), (f"{prefix}specversion", b"0.3")]
    kind = b"Application/CloudEvents+JSON; charset=UTF-8"

    found = read(document(data={"a": 1}), *some, kind=kind, binding=binding)

    assert (found.id, found.data) == ("1", b'{"a": 1}')


def test_data_is_cut_out_byte_for_byte() -> None:
    body = '{"specversion":"1.0","id":"1","source":"s","type":"t","data": {"n": 1.10, "e":1E400} }'

    assert read(body).data == b'{"n": 1.10, "e":1E400}'


@pytest.mark.parametrize(
    ("members", "data"),
    [
        ({}, None),
        ({"data": None}, b"null"),
        ({"data": "x"}, b'"x"'),
        ({"data": "x", "datacontenttype": "text/plain"}, b"x"),
        ({"data": [1], "datacontenttype": "application/vnd.a+json; v=1"}, b"[1]"),
        ({"data_base64": "AP8=", "datacontenttype": "application/avro"}, b"\x00\xff"),
        ({"data_base64": None}, None),
    ],
)
def test_data_is_what_the_json_format_says(members: dict[str, Any], data: bytes | None) -> None:
    assert read(document(**members)).data == data


def test_attributes_have_their_canonical_strings_and_null_is_absent() -> None:
    found = read(document(hopcount=3, flag=True, number=-5, subject=None, mine="ü"))

    assert (found.hops, found.subject) == (3, None)
    assert found.extensions == {"flag": "true", "number": "-5", "mine": "ü"}


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        "[]",
        "null",
        "{",
        "{}",
        '{"id":}',
        document()[:-1],
        document() + "x",
        document() + document(),
        document().replace('"id"', '"id": "1", "id"'),
        document(data=1, data_base64="AA=="),
        document(data_base64="%%"),
        document(data_base64=5),
        document(data=1, datacontenttype="text/plain"),
        document(mine=1.5),
        document(mine=2**31),
        document(mine=[]),
        document(mine={}),
        document(id=1),
        document(id=""),
        document(Mine="a"),
        document(hopcount=-1),
        document(time="now"),
        document(type=None),
        document(mine="\ud800"),
        document(mine="x" * 20_000),
        document(**{f"a{number}": "x" for number in range(70)}),
        '{"specversion":"1.0","id":"1","source":"s","type":"t","data":NaN}',
        '{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + "9" * 5000 + "}",
        '{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + "[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_whatever_is_wrong_with_a_document_is_malformed_t7(body: bytes | str | None) -> None:
    with pytest.raises(MalformedEnvelope):
        read(body)


def test_another_specversion_is_told_apart() -> None:
    with pytest.raises(UnsupportedSpecVersion):
        read(document(specversion="0.3"))


@pytest.mark.parametrize(
    "kind",
    [
        b"application/cloudevents-batch+json",
        b"application/cloudevents+avro",
        b"application/cloudevents",
        b"application/cloudevents+json; charset=utf-16",
    ],
)
def test_batches_and_other_formats_are_malformed(kind: bytes) -> None:
    with pytest.raises(MalformedEnvelope):
        read(document(), kind=kind)


def test_the_transports_trace_belongs_to_the_transport() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    found = read(document(traceparent="origin"), ("traceparent", parent.encode()))

    assert (found.traceparent, found.extensions) == (parent, {"traceparent": "origin"})


@given(envelope=envelopes)
def test_what_is_written_is_read_back(envelope: Envelope) -> None:
    envelope.data = None if envelope.data is None else json.dumps(envelope.data.hex()).encode()

    found = read(to_structured_json(envelope))

    envelope.traceparent = envelope.baggage = None
    assert as_dict(found) == as_dict(envelope)


def test_data_that_is_no_json_is_not_written_as_json() -> None:
    for data in (b"{", b"\xff", b"1 2", b"[" * 100_000, b"NaN"):
        with pytest.raises(EncodeError):
            to_structured_json(Envelope(id="1", source="s", type="t", data=data))


@given(body=st.binary(max_size=80) | st.text(max_size=60).map(lambda text: f"{{{text}}}".encode()))
def test_no_body_raises_anything_but_a_decode_error(body: bytes) -> None:
    with suppress(DecodeError):
        read(body)

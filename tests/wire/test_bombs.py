"""Schemas and payloads that would turn the Avro library against its own process (T5)."""

import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from choreo.codec.avro import AvroCodec, SchemaFolder
from choreo.codec.guard import check_schema
from choreo.codec.schema_folder import contract
from choreo.envelope import AVRO, Envelope
from choreo.errors import DecodeError
from choreo.event import Event


class Sale(Event, topic="sales"):
    note: str = "none"


def envelope(data: bytes) -> Envelope:
    return Envelope(id="1", source="s", type="Sale.v1", data=data, content_type=AVRO)


BOMBS: list[JsonValue] = [
    {"type": "array", "items": "null"},
    {"type": "array", "items": {"type": "record", "name": "E", "fields": []}},
    {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
    {"type": "map", "values": {"type": "array", "items": "null"}},
    {
        "type": "record",
        "name": "Node",
        "namespace": "a.b",
        "fields": [{"name": "next", "type": ["null", "Node"]}],
    },
    {
        "type": "record",
        "name": "Twice",
        "fields": [
            {"name": "more", "type": {"type": "array", "items": "Twice"}},
        ],
    },
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_schema_that_could_be_turned_against_us_is_refused_t5(
    bomb: JsonValue, tmp_path: Path
) -> None:
    writer: dict[str, JsonValue] = {
        "type": "record",
        "name": "Sale",
        "fields": [{"name": "bomb", "type": bomb}],
    }
    path = tmp_path / "1.avsc"
    path.write_text(json.dumps(writer))
    mark = contract(writer, "test").fingerprint
    decode = AvroCodec(SchemaFolder(tmp_path)).decoder(Sale)

    with pytest.raises(DecodeError, match=r"recursive|no bytes"):
        decode(envelope(b"\xc3\x01" + mark + b"\x80\x80\x80\x80\x80\x40" * 2))


def test_a_schema_nested_beyond_any_use_is_refused_t5() -> None:
    schema: JsonValue = "long"
    for _ in range(70):
        schema = {"type": "array", "items": schema}

    with pytest.raises(ValueError, match="too deep"):
        check_schema(schema)

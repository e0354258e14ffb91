"""Compiled readers read what fastavro reads, and refuse what it refuses; what else they refuse."""

import json
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from typing import Any, cast

import pytest
from fastavro import parse_schema
from fastavro.schema import SchemaParseException
from fastavro.utils import generate_many
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from choreo.codec.avro import library_reader, write_datum
from choreo.codec.compiled import Malformed, Reader, compiled
from choreo.codec.datum import to_datum
from choreo.codec.guard import check_schema
from choreo.codec.unwritten import without_defaults
from choreo.contracts.annotations import shape_of
from choreo.contracts.derive import derive
from choreo.contracts.resolution import obstacles
from choreo.contracts.schema import read_schema
from choreo.event import Event
from tests.contracts.pairs import PAIRS, field, record
from tests.contracts.samples import SAMPLES
from tests.wire.events import Address, Shipped
from tests.wire.test_avro import sample, shipments

generated = cast("Callable[[Any, int], Any]", generate_many)
SCHEMA = derive(Shipped)
PARSED = parse_schema(cast("dict[str, Any]", SCHEMA))
LIBRARY = library_reader(PARSED)


def reader(schema: JsonValue, into: JsonValue = None) -> Reader:
    read = compiled(read_schema(schema), None if into is None else read_schema(into))
    assert read is not None
    return read


FAST = reader(SCHEMA)


def written(event: Event) -> bytes:
    stream = BytesIO()
    write_datum(stream, PARSED, to_datum(shape_of(type(event)))(event), strict=True)
    return stream.getvalue()


WRITTEN = written(
    sample(
        second=Address(street="é"),
        tags=["a", "bc"],
        codes=(1, -(2**40)),
        notes={"a": "b"},
        parts=[Address(street="x")],
        measure="m",
    )
)


@given(event=shipments, ahead=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_whatever_an_event_holds_is_read_as_the_library_reads_it(
    event: Shipped, ahead: int
) -> None:
    data = bytes(ahead) + written(event)

    assert FAST(data, ahead) == LIBRARY(data, ahead) == (LIBRARY(data, ahead)[0], len(data))


@given(where=st.integers(0, len(WRITTEN) - 1), change=st.binary(max_size=4), cut=st.booleans())
@settings(max_examples=400, deadline=None)
def test_spoilt_bytes_are_read_alike_or_refused(where: int, change: bytes, *, cut: bool) -> None:
    data = WRITTEN[:where] + change + (b"" if cut else WRITTEN[where + len(change) :])

    assert alike(outcome(FAST, data), outcome(LIBRARY, data))


def alike(ours: object, theirs: object) -> bool:
    """Tell whether both read the same, or both refuse, or only ours does and says Malformed."""
    if isinstance(ours, Exception) and isinstance(theirs, Exception):
        return True
    return isinstance(ours, Malformed) or repr(ours) == repr(theirs)


def outcome(read: Reader, data: bytes) -> object:
    try:
        return read(data, 0)
    except Exception as error:  # noqa: BLE001 -- the library raises whatever it stumbles on
        return error


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.why)
def test_what_is_resolved_is_what_the_library_resolves(
    pair: Any,  # noqa: ANN401 -- a Pair
) -> None:
    for old, new in ((pair.old, pair.new), (pair.new, pair.old)):
        writer, wanted = read_schema(old), read_schema(new)
        fast = compiled(writer, wanted)
        if fast is None or obstacles(reader=wanted, writer=writer) or harmful(old):
            continue
        try:
            parsed, resolved = parse_schema(old), without_defaults(parse_schema(new))
        except SchemaParseException:
            continue  # the library knows fewer schemas
        for datum in generated(parsed, 5):
            stream = BytesIO()
            write_datum(stream, parsed, datum)
            data = stream.getvalue()
            # The library makes up decimals of any length.
            assert alike(outcome(fast, data), outcome(library_reader(parsed, resolved), data))


def harmful(schema: JsonValue) -> bool:
    try:
        check_schema(schema)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_of_the_example_has_a_compiled_reader(event: Event) -> None:
    schema = read_schema(derive(type(event)))

    assert compiled(schema) is not None
    assert compiled(schema, schema) is not None


def test_a_dropped_field_is_passed_over_and_a_missing_one_left_to_the_class() -> None:
    old = record(field("a", "string"), field("b", {"type": "array", "items": "long"}))
    new = record(field("a", "string"), field("c", "long", 7), field("d", "string", "x"))
    data = b"\x02z\x04\x02\x04\x00"

    read = reader(old, new)(data, 0)

    expected = library_reader(parse_schema(old), without_defaults(parse_schema(new)))(data, 0)
    assert read == expected
    assert read[1] == len(data)


BOMB = {"type": "array", "items": "long"}


@pytest.mark.parametrize(
    ("schema", "data", "error"),
    [
        (BOMB, b"\x80\x80\x80\x80\x80\x80\x80\x80\x01", EOFError),
        (BOMB, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", EOFError),
        ({"type": "map", "values": "long"}, b"\x80\x80\x80\x80\x80\x80\x80\x80\x01", EOFError),
        ("string", b"\x80\x80\x80\x80\x80\x80\x80\x80\x01a", EOFError),
        ("bytes", b"\x01", EOFError),
        ("double", b"\x00" * 7, EOFError),
        ("long", b"", EOFError),
        ("long", b"\x80", EOFError),
        ("long", b"\xff" * 10 + b"\x01", Malformed),
        ("long", b"\xff" * 9 + b"\x02", Malformed),
        (["null", "long"], b"\x01", Malformed),
        (["null", "long"], b"\x04", Malformed),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x01", Malformed),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x02", EOFError),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 0},
            b"\x02\x64",
            Malformed,
        ),
        ("string", b"\x02\xff", UnicodeDecodeError),
    ],
)
def test_what_a_payload_promises_and_does_not_hold_is_refused_at_once_t5(
    schema: JsonValue, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        reader(schema)(data, 0)


def test_the_library_rounds_an_amount_of_too_many_digits_and_the_compiled_reader_does_not() -> None:
    """Why decimals are looked at: by the library 1234 becomes 1.2E+3, without a word."""
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 0}

    read, _ = library_reader(parse_schema(schema))(b"\x04\x04\xd2", 0)

    assert read == Decimal("1.2E+3")
    with pytest.raises(Malformed, match="too many digits"):
        reader(cast("JsonValue", schema))(b"\x04\x04\xd2", 0)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "fixed", "name": "F", "size": 4},
        {"type": "long", "logicalType": "timestamp-nanos"},
        json.loads('{"type":"array","items":' * 30 + '"long"' + "}" * 30),
        record(*(field(f"f{number}", "long") for number in range(1000))),
    ],
    ids=["fixed", "logical", "nested", "long"],
)
def test_what_is_not_said_in_source_is_left_to_the_library(schema: JsonValue) -> None:
    assert compiled(read_schema(schema)) is None

"""What holds of verdicts on any schemas, beside what two libraries say and do."""

import json
from io import BytesIO

import fastavro
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from choreo.codec.avro import read_datum, write_datum
from choreo.contracts.compatibility import Version, findings, judge
from choreo.contracts.mode import Mode
from choreo.contracts.resolution import Kind, obstacles
from choreo.contracts.schema import Schema, read_schema
from tests.contracts.apache import apache_reads
from tests.contracts.schemas import (
    JsonSchema,
    changed,
    default_of,
    events,
    values,
    without_logical_types,
)

many = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
pairs = events().flatmap(lambda old: st.tuples(st.just(old), changed(old)))


def reads(reader: JsonSchema, writer: JsonSchema) -> bool:
    return not obstacles(reader=read_schema(reader), writer=read_schema(writer))


def written(schema: JsonSchema, value: JsonSchema) -> BytesIO:
    stream = BytesIO()
    write_datum(stream, fastavro.parse_schema(schema), value)
    stream.seek(0)
    return stream


@given(schema=events())
@many
def test_every_schema_reads_itself(schema: JsonSchema) -> None:
    copy = json.loads(json.dumps(schema))
    copy["doc"] = "not the very same, so that it is looked into"

    assert reads(copy, schema)
    assert judge(read_schema(copy), [Version(1, read_schema(schema))]).compatible


@given(schema=events(), more=events())
@many
def test_a_field_added_with_a_default_breaks_nothing_in_any_order(
    schema: JsonSchema, more: JsonSchema
) -> None:
    kind = json.loads(json.dumps(more).replace('"Part', '"Added').replace('"Enum', '"AddedEnum'))
    kind = json.loads(json.dumps(kind).replace('"Fixed', '"AddedFixed'))
    added = {"name": "added", "type": kind, "default": default_of(kind)}
    new = {**schema, "fields": [added, *schema["fields"]]}

    found = judge(read_schema(new), [Version(1, read_schema(schema))], Mode.FULL_TRANSITIVE)

    assert found.findings == ()


@given(pair=pairs, data=st.data())
@many
def test_what_is_judged_readable_is_read_by_fastavro(pair: JsonSchema, data: st.DataObject) -> None:
    old, new = (without_logical_types(one) for one in pair)
    assume(reads(new, old))
    stream = written(old, data.draw(values(old)))

    read_datum(stream, fastavro.parse_schema(old), fastavro.parse_schema(new))

    assert stream.read() == b""


@pytest.mark.filterwarnings("ignore::avro.errors.IgnoredLogicalType")
@given(pair=pairs)
@many
def test_apaches_checker_agrees_on_every_pair_but_in_meaning_and_ambiguity(
    pair: JsonSchema,
) -> None:
    old, new = pair
    found = {one.kind for one in obstacles(reader=read_schema(new), writer=read_schema(old))}
    assume(Kind.AMBIGUOUS not in found)

    assert apache_reads(new, old) is (not found - {Kind.MEANING})


@given(pair=pairs)
@many
def test_forward_is_backward_seen_from_the_other_side(pair: JsonSchema) -> None:
    old, new = map(read_schema, pair)

    there = {(one.direction, one.kind, one.path) for one in findings(new, Version(1, old))}
    back = {(one.direction, one.kind, one.path) for one in findings(old, Version(1, new))}

    turned = {"backward": "forward", "forward": "backward"}
    assert there == {(turned[way], kind, path) for way, kind, path in back}


@given(history=st.lists(events(), min_size=1, max_size=3), mode=st.sampled_from(Mode))
@many
def test_a_transitive_mode_is_its_plain_one_with_every_version(
    history: JsonSchema, mode: Mode
) -> None:
    assume(mode.transitive)
    *earlier, new = map(read_schema, history)
    plain = Mode(mode.removesuffix("_transitive"))

    whole = judge(new, versions(earlier), mode).compatible

    assert whole is all(judge(new, [one], plain).compatible for one in versions(earlier))


def versions(schemas: list[Schema]) -> list[Version]:
    return [Version(number, schema) for number, schema in enumerate(schemas, 1)]

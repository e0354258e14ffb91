"""Schemas are compared place by place, and what is said to people is no difference."""

from pydantic import JsonValue

from choreo.contracts.difference import differences


def record(*fields: JsonValue, **more: JsonValue) -> JsonValue:
    return {"type": "record", "name": "Sale", "fields": list(fields), **more}


A: JsonValue = {"name": "a", "type": "long"}
B: JsonValue = {"name": "b", "type": "string"}


def money(scale: int) -> JsonValue:
    return {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale}


def told(committed: JsonValue, derived: JsonValue) -> list[str]:
    return [str(found) for found in differences(committed, derived)]


def test_the_same_schema_has_no_differences() -> None:
    assert told(record(A, B), record(A, B)) == []


def test_what_is_said_to_people_is_no_difference() -> None:
    field: JsonValue = {"name": "a", "type": "long", "doc": "Much.", "deprecated": "use b"}

    assert told(record(A), record(field, doc="A sale.")) == []


def test_each_difference_is_one_line_with_its_place() -> None:
    two: JsonValue = {"name": "m", "type": money(2)}
    three: JsonValue = {"name": "m", "type": money(3)}

    assert told(record(two, A), record(three, B)) == [
        "/fields/m/type/scale: 2 in the file, 3 in the class",
        "/fields/a: only in the file",
        "/fields/b: only in the class",
    ]


def test_a_field_put_in_between_is_one_difference() -> None:
    assert told(record(A), record(B, A)) == ["/fields/b: only in the class"]


def test_fields_in_another_order_are_other_bytes() -> None:
    assert told(record(A, B), record(B, A)) == [
        "/fields (order): ['a', 'b'] in the file, ['b', 'a'] in the class"
    ]


def test_a_default_is_a_value_whatever_its_parts_are_called() -> None:
    one: JsonValue = {"name": "a", "type": "x", "default": {"doc": "1"}}
    other: JsonValue = {"name": "a", "type": "x", "default": {"doc": "2"}}

    (found,) = differences(record(one), record(other))

    assert found.at == "/fields/a/default"


def test_true_is_not_one() -> None:
    one: JsonValue = {"name": "a", "type": "x", "default": True}
    other: JsonValue = {"name": "a", "type": "x", "default": 1}

    assert told(record(one), record(other)) == [
        "/fields/a/default: True in the file, 1 in the class"
    ]

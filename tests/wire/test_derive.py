"""Avro contracts derived from event classes."""

import json
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, cast

import avro.schema
import fastavro
import pytest
from pydantic import BaseModel, Field, JsonValue

from choreo.codec.schema_folder import schema_text
from choreo.contracts.derive import derive
from choreo.errors import ConfigurationError
from choreo.event import Event
from tests.wire.events import Address, Card, Shipped, Transfer


def test_a_schema_is_derived_the_same_way_every_time() -> None:
    assert json.dumps(derive(Shipped)) == json.dumps(derive(Shipped))
    fastavro.parse_schema(cast("dict[str, Any]", derive(Shipped)))


def field(event: type[Event], name: str) -> dict[str, JsonValue]:
    fields = cast("list[dict[str, JsonValue]]", derive(event)["fields"])
    return next(one for one in fields if one["name"] == name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("order", {"type": {"type": "string", "logicalType": "uuid"}}),
        ("at", {"type": {"type": "long", "logicalType": "timestamp-micros"}}),
        ("due", {"type": {"type": "int", "logicalType": "date"}}),
        ("second", {"type": ["null", "com.example.Address"], "default": None}),
        ("measure", {"type": ["long", "string"], "default": 0}),
        ("remark", {"doc": "Free text.", "type": ["string", "null"], "default": "none"}),
        ("amount", {"type": "long", "default": 1, "aliases": ["quantity"]}),
        ("old", {"type": "long", "default": 0, "deprecated": "use count"}),
        ("tags", {"type": {"type": "array", "items": "string"}, "default": []}),
        ("notes", {"type": {"type": "map", "values": "string"}, "default": {}}),
        ("serial", {
            "type": {"type": "string", "logicalType": "uuid"},
            "default": "00000000-0000-0000-0000-000000000005",
        }),
    ],
)  # fmt: skip
def test_a_field_says_in_avro_what_it_says_in_python(
    name: str, expected: dict[str, JsonValue]
) -> None:
    assert field(Shipped, name) == {"name": name, **expected}


def test_an_enums_default_is_what_python_takes_for_an_unknown_value() -> None:
    schema = cast("dict[str, JsonValue]", field(Shipped, "channel")["type"])

    assert (schema["symbols"], schema["default"]) == (["web", "shop", "other"], "other")


def test_a_default_of_a_later_option_comes_first_and_defines_what_others_name() -> None:
    class Moved(Event, topic="moved"):
        by: Card | Transfer | None = Field(default=Transfer(iban="AT"), discriminator="kind")

    schema = derive(Moved)

    options = cast("list[Any]", field(Moved, "by")["type"])
    assert [one if one == "null" else one["name"] for one in options] == [
        "Transfer",
        "null",
        "Card",
    ]
    fastavro.parse_schema(cast("dict[str, Any]", schema))
    avro.schema.parse(schema_text(schema))


class Empty(BaseModel):
    pass


class Odd(Enum):
    ODD = "not a symbol"


class Node(BaseModel):
    next: "Node | None" = None


REFUSED: list[tuple[Any, str]] = [
    (Node, "contains itself"),
    (Decimal, "max_digits"),
    (timedelta, "use int"),
    (object, "use a type that Avro has"),
    (Any, "use a type that Avro has"),
    (dict[int, str], "keys are no strings"),
    (list, "list\\[str\\]"),
    (tuple[int, str], "use a type"),
    (int | Address, "unlike things"),
    (Card | Transfer, "discriminator"),
    (list[Empty], "T5"),
    (Odd, "letters, digits"),
    (list[Annotated[Decimal, Field(max_digits=3)]], "max_digits"),
    (dict[str, object], "use a type"),
]


@pytest.mark.parametrize(("annotation", "remedy"), REFUSED)
def test_what_avro_cannot_say_is_refused_with_a_way_out(annotation: Any, remedy: str) -> None:  # noqa: ANN401 -- any annotation at all
    with pytest.raises(ConfigurationError, match=rf"Odd\.field.*({remedy})"):
        derive(
            type(
                "Odd",
                (Event,),
                {"__annotations__": {"field": annotation}, "__module__": __name__},
                topic="odd",
            )
        )

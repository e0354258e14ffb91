"""Contracts that others wrote become classes that derive back to them."""

import ast
import json
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.contracts.class_source import Declaration
from choreo.contracts.derive import derive
from choreo.contracts.difference import differences
from choreo.contracts.importing import event_source
from choreo.errors import ConfigurationError
from tests.contracts.pairs import array, enum, field, fixed, logical, mapping, record
from tests.contracts.schemas import JsonSchema, events
from tests.contracts.test_derive import Paid
from tests.wire.events import Shipped

ROOT = Path(__file__).parents[2]
ORDERS = Declaration(topic="orders")


def derived_back(schema: JsonSchema, declaration: Declaration = ORDERS) -> JsonSchema:
    module = ModuleType("written")
    source = event_source(schema, declaration, "the contract")
    exec(compile(source, "written", "exec"), module.__dict__)  # noqa: S102 -- the point of the test
    return derive(module.__dict__[str(schema["name"]).rpartition(".")[2]])


@pytest.mark.parametrize("path", sorted(ROOT.glob("schemas/**/*.avsc")), ids=str)
def test_every_committed_contract_comes_back(path: Path) -> None:
    schema = json.loads(path.read_text())

    assert derived_back(schema) == schema


def test_an_event_of_every_shape_comes_back() -> None:
    schema = derive(Shipped)

    assert derived_back(schema, Declaration(topic="t", version=2, key="site")) == schema


NAMES = st.sampled_from(["a", "b", "from", "class", "_hidden", "model_x", "copy", "date", "str"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES: list[tuple[JsonSchema, st.SearchStrategy[JsonSchema]]] = [
    ("boolean", st.booleans()),
    ("int", st.integers(-(2**31), 2**31 - 1)),
    ("long", st.integers(-(2**63), 2**63 - 1)),
    ("float", st.floats(width=32, allow_nan=False, allow_infinity=False)),
    ("double", st.floats(allow_nan=False, allow_infinity=False)),
    ("string", TEXTS),
    ("bytes", st.binary(max_size=4).map(lambda value: value.decode("latin-1"))),
    (logical("string", "uuid"), st.uuids().map(str)),
    (logical("int", "date"), st.integers(-10_000, 10_000)),
    (logical("long", "time-micros"), st.integers(0, 86_399_999_999)),
    (logical("int", "time-millis"), st.integers(0, 86_399_999)),
    (logical("long", "timestamp-micros"), st.integers(-(2**50), 2**50)),
    (logical("long", "timestamp-millis"), st.integers(-(2**40), 2**40)),
    (
        logical("bytes", "decimal", precision=6, scale=2),
        st.sampled_from(["\0", "\x01", "\x0f\x42\x3f", "\xff"]),
    ),
    (enum("web", "SHOP", "mro", "_x", "None"), st.sampled_from(["web", "mro", "_x"])),
    (enum("A", "B", default="B", doc="Why."), st.just("B")),
    (record(field("x", "long"), field("class", "string", "y")),
     st.fixed_dictionaries({"x": st.integers(0, 9), "class": TEXTS})),
]  # fmt: skip


@st.composite
def derivable(draw: st.DrawFn) -> JsonSchema:
    """Draw what an event class can say."""
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    fields = [draw_field(draw, name, f"Part{number}") for number, name in enumerate(names)]
    schema: JsonSchema = {"type": "record", "name": draw(st.sampled_from(["Placed", "Copy"]))}
    if draw(st.booleans()):
        schema["namespace"] = "com.example"
    if draw(st.booleans()):
        schema["doc"] = draw(st.sampled_from(["Said.", 'Quoted "so".', "Two\nlines.", "Ünï\\x"]))
    return {**schema, "fields": fields}


def draw_field(draw: st.DrawFn, name: str, part: str) -> JsonSchema:
    kind, values = draw(st.sampled_from(VALUES))
    if isinstance(kind, dict) and "name" in kind:
        kind = cast("JsonSchema", {**kind, "name": part})
    given: JsonSchema = {"name": name}
    if draw(st.booleans()):
        given["doc"] = draw(TEXTS.filter(bool))
    match draw(st.sampled_from(["plain", "default", "optional", "array", "map", "filled"])):
        case "plain":
            given["type"] = kind
        case "default":
            given |= {"type": kind, "default": draw(values)}
        case "optional":
            given |= {"type": ["null", kind], "default": None}
        case "array":
            given |= {"type": array(kind), "default": draw(st.lists(values, max_size=2))}
        case "map":
            given |= {"type": mapping(kind), "default": draw(st.dictionaries(TEXTS, values))}
        case _:
            given |= {"type": [kind, "null"], "default": draw(values)}
    if draw(st.booleans()):
        given["aliases"] = [f"old_{name}"]
    return given


@given(schema=derivable())
@settings(max_examples=150, deadline=None)
def test_whatever_a_class_can_say_comes_back(schema: JsonSchema) -> None:
    back = derived_back(schema)

    assert differences(schema, back) == []
    assert [(one["name"], one.get("doc")) for one in back["fields"]] == [
        (one["name"], one.get("doc")) for one in schema["fields"]
    ]
    assert back.get("doc") == schema.get("doc")


@given(schema=events())
@settings(max_examples=100, deadline=None)
def test_a_contract_is_imported_whole_or_refused(schema: JsonSchema) -> None:
    with suppress(ConfigurationError):
        derived_back(schema)


def placed(*fields: JsonSchema, **more: JsonSchema) -> JsonSchema:
    return record(*fields, name="Placed", **more)


REFUSED: list[tuple[JsonSchema, str]] = [
    ("string", "an event is a record"),
    (placed(field("a", fixed(4))), "no event class says fixed Key"),
    (placed(field("a", ["string", "null"])), "another contract, /fields/a/type"),
    (placed(field("a", array("Placed"))), "contains itself.*T5"),
    (placed(field("a", record(name="y.In"))), "another namespace"),
    (placed(field("a", logical("long", "local-timestamp-micros"))), "no annotation says"),
    (placed(field("a", ["int", record(name="In")])), "unlike things"),
    (placed(field("a", [record(name="In"), record(name="Out")])), "without a tag"),
    (placed(field("a", "int", "b")), "does not fit int"),
    (placed(field("a", logical("string", "uuid"), "b")), "is no uuid"),
    (placed(field("a", array(record(name="Hollow")))), "T5"),
    (record(name="Event"), "cannot be the name"),
    (placed(aliases=["Former"]), "/aliases"),
]


@pytest.mark.parametrize(("schema", "reason"), REFUSED)
def test_what_no_class_says_is_refused_with_its_origin(schema: JsonSchema, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the contract .*{reason}"):
        event_source(schema, ORDERS, "the contract")


def test_a_contract_that_is_spelt_otherwise_is_the_same() -> None:
    schema: JsonSchema = {
        "type": "record",
        "name": "shop.Placed",
        "fields": [
            {
                "name": "a",
                "type": {"type": "string", "avro.java.string": "String"},
                "order": "ignore",
            },
            {"name": "b", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9}},
            {"name": "c", "type": enum("RED")},
            {"name": "d", "type": ["null", "Colour"], "default": None},
        ],
    }

    assert differences(schema, derived_back(schema)) == []


def test_the_class_reads_as_one_would_write_it() -> None:
    schema = record(
        field("id", logical("string", "uuid")),
        field("lines", array(record(field("price", logical("bytes", "decimal", precision=9,
              scale=2), "\x32"), name="Line"))),
        field("from", ["null", "string"], None, aliases=["sender"], doc="Who asks."),
        name="Placed", namespace="shop", doc="Somebody wants something.",
    )  # fmt: skip
    source = event_source(schema, Declaration(topic="orders", version=2, key="id"), "it")

    ast.parse(source)
    assert source == EXPECTED


EXPECTED = '''"""Events by contract."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AliasChoices, BaseModel, Field

from choreo import Event


class Line(BaseModel):
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=2)] = Decimal("0.50")


class Placed(Event, topic="orders", key="id", version=2, name="shop.Placed"):
    """Somebody wants something."""

    id: UUID
    lines: tuple[Line, ...]
    from_: str | None = Field(default=None, validation_alias=AliasChoices("from", "sender"), serialization_alias="from", description="Who asks.")
'''  # noqa: E501 -- a formatter's work


def test_a_list_of_one_of_several_models_comes_back() -> None:
    """In a list the tag belongs to the items, and not to the field."""
    schema = derive(Paid)

    source = event_source(schema, Declaration(topic="paid"), "paid.avsc")

    assert 'tuple[Annotated[Card | Transfer | None, Field(discriminator="kind")], ...]' in source

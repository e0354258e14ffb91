"""Schemas, values of them, and changes to them, for property tests."""

# Drawn JSON has no type that would say more than Any.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

import copy
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

JsonSchema = Any
Draw = Callable[[st.SearchStrategy[Any]], Any]

PRIMITIVES = ("boolean", "int", "long", "float", "double", "bytes", "string")
LOGICAL: tuple[dict[str, Any], ...] = (
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "int", "logicalType": "date"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
)
FIELD_NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
SYMBOLS = ["RED", "BLUE", "GREEN", "GREY"]


class _Names:
    """Names for types, each given once."""

    def __init__(self) -> None:
        self._count = 0

    def next(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"


@st.composite
def events(draw: st.DrawFn) -> JsonSchema:
    """Draw a record of records, lists, maps, unions and values."""
    return _record(draw, _Names(), 2)


def _record(draw: Draw, names: _Names, depth: int) -> JsonSchema:
    name = names.next("Part")
    fields = draw(st.lists(FIELD_NAMES, unique=True, max_size=4, min_size=1))
    return {
        "type": "record",
        "name": name,
        "fields": [_field(draw, one, names, depth) for one in fields],
    }


def _field(draw: Draw, name: str, names: _Names, depth: int) -> dict[str, Any]:
    kind = _type(draw, names, depth)
    field = {"name": name, "type": kind}
    if draw(st.booleans()):
        field["default"] = default_of(kind)
    return field


def _type(draw: Draw, names: _Names, depth: int) -> JsonSchema:
    makers: list[Callable[[], JsonSchema]] = [
        lambda: draw(st.sampled_from(PRIMITIVES)),
        lambda: draw(st.sampled_from(LOGICAL)),
        lambda: _enum(draw, names),
        lambda: {"type": "fixed", "name": names.next("Fixed"), "size": draw(st.integers(1, 3))},
        lambda: _union(draw, names, depth),
    ]
    if depth:
        makers += [
            lambda: _record(draw, names, depth - 1),
            lambda: {"type": "array", "items": _type(draw, names, depth - 1)},
            lambda: {"type": "map", "values": _type(draw, names, depth - 1)},
        ]
    return draw(st.sampled_from(makers))()


def _enum(draw: Draw, names: _Names) -> JsonSchema:
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1))
    schema = {"type": "enum", "name": names.next("Enum"), "symbols": symbols}
    return {**schema, "default": symbols[0]} if draw(st.booleans()) else schema


def _union(draw: Draw, names: _Names, depth: int) -> JsonSchema:
    branches: list[JsonSchema] = draw(
        st.lists(st.sampled_from(["null", *PRIMITIVES]), unique=True, min_size=1, max_size=3)
    )
    if depth and draw(st.booleans()):
        branches.append(_record(draw, names, 0))
    return branches


def default_of(schema: JsonSchema) -> Any:  # noqa: ANN401 -- JSON
    """Return the plainest default that fits *schema*."""
    if isinstance(schema, list):
        return default_of(schema[0])
    kind = schema["type"] if isinstance(schema, dict) else schema
    match kind:
        case "record":
            return {field["name"]: default_of(field["type"]) for field in schema["fields"]}
        case "enum":
            return schema["symbols"][0]
        case "fixed":
            return "\0" * schema["size"]
        case _:
            plain: Mapping[str, Any] = {
                "null": None, "boolean": False, "int": 0, "long": 0, "float": 0.0, "double": 0.0,
                "bytes": "", "string": "", "array": [], "map": {},
            }  # fmt: skip
            return plain[kind]


def values(schema: JsonSchema) -> st.SearchStrategy[Any]:
    """Draw what a writer of *schema* may write; logical types are left to their bases."""
    if isinstance(schema, list):
        return st.one_of([_branch(option) for option in schema])
    if isinstance(schema, str):
        return PLAIN[schema]
    if schema["type"] == "record":
        return st.fixed_dictionaries(
            {field["name"]: values(field["type"]) for field in schema["fields"]}
        )
    makers: Mapping[str, Callable[[], st.SearchStrategy[Any]]] = {
        "enum": lambda: st.sampled_from(schema["symbols"]),
        "fixed": lambda: st.binary(min_size=schema["size"], max_size=schema["size"]),
        "array": lambda: st.lists(values(schema["items"]), max_size=2),
        "map": lambda: st.dictionaries(
            st.sampled_from("xyz"), values(schema["values"]), max_size=2
        ),
    }
    return makers[schema["type"]]()


def _branch(option: JsonSchema) -> st.SearchStrategy[Any]:
    """Draw a value and say whose it is, so that the library does not guess."""
    kind = option["name"] if isinstance(option, dict) else option
    return st.tuples(st.just(kind), values(option))


TEXT = st.text("abcü", max_size=3)
PLAIN: Mapping[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    # The specification reads bytes as text; it does not say what of bytes that are none.
    "bytes": TEXT.map(str.encode),
    "string": TEXT,
}


def without_logical_types(schema: JsonSchema) -> JsonSchema:
    """Leave the bases only: how a library reads moments is not the question."""
    if isinstance(schema, list):
        return [without_logical_types(option) for option in schema]
    if not isinstance(schema, dict):
        return schema
    if "logicalType" in schema:
        return schema["type"]
    changed = {
        key: without_logical_types(schema[key])
        for key in ("type", "items", "values")
        if key in schema
    }
    if "fields" in schema:
        changed["fields"] = [without_logical_types(field) for field in schema["fields"]]
    return {**schema, **changed}


@st.composite
def changed(draw: st.DrawFn, schema: JsonSchema) -> JsonSchema:
    """Draw a successor of *schema*: a few of the changes that people make."""
    new = copy.deepcopy(schema)
    for _ in range(draw(st.integers(0, 3))):
        record = draw(st.sampled_from(_records(new)))
        draw(st.sampled_from(CHANGES))(draw, record)
    for record in _records(new):
        for field in record["fields"]:
            if "default" in field:
                field["default"] = default_of(field["type"])
    return new


def _records(schema: JsonSchema) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [record for option in schema for record in _records(option)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "record" else []
    parts = [field["type"] for field in schema.get("fields", [])]
    parts += [schema[key] for key in ("items", "values") if key in schema]
    return own + [record for part in parts for record in _records(part)]


def _add(draw: Draw, record: dict[str, Any]) -> None:
    names = {field["name"] for field in record["fields"]}
    name = draw(st.sampled_from([f"{one}{two}" for one in "fgh" for two in ("", "1", "2")]))
    if name not in names:
        kind = draw(st.sampled_from(PRIMITIVES))
        field = {"name": name, "type": kind}
        if draw(st.booleans()):
            field["default"] = default_of(kind)
        record["fields"].append(field)


def _remove(draw: Draw, record: dict[str, Any]) -> None:
    if record["fields"]:
        record["fields"].remove(draw(st.sampled_from(record["fields"])))


def _rename(draw: Draw, record: dict[str, Any]) -> None:
    if record["fields"]:
        field = draw(st.sampled_from(record["fields"]))
        names = {one["name"] for one in record["fields"]}
        new = draw(st.sampled_from(["p", "q", "r", "a", "b"]))
        if new not in names:
            if draw(st.booleans()):
                field["aliases"] = [*field.get("aliases", []), field["name"]]
            field["name"] = new


def _retype(draw: Draw, record: dict[str, Any]) -> None:
    if record["fields"]:
        field = draw(st.sampled_from(record["fields"]))
        field["type"] = _successor(draw, field["type"])


def _successor(draw: Draw, kind: JsonSchema) -> JsonSchema:
    if isinstance(kind, list):
        return draw(st.permutations(kind)) if draw(st.booleans()) else kind[:-1] or kind
    if isinstance(kind, dict) and kind["type"] == "enum":
        symbols = draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1))
        more = {"default": symbols[-1]} if draw(st.booleans()) else {}
        return {"type": "enum", "name": kind["name"], "symbols": symbols, **more}
    if isinstance(kind, dict) and kind["type"] in {"array", "map"}:
        key = "items" if kind["type"] == "array" else "values"
        return {**kind, key: _successor(draw, kind[key])}
    if isinstance(kind, dict):
        return ["null", kind]
    return draw(st.sampled_from([*PRIMITIVES, ["null", kind] if kind != "null" else kind]))


def _reorder(draw: Draw, record: dict[str, Any]) -> None:
    record["fields"] = draw(st.permutations(record["fields"]))


CHANGES = (_add, _remove, _rename, _retype, _retype, _reorder)

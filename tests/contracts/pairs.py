"""Pairs of schemas, old and new, with what each direction must say and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from choreo.contracts.resolution import Kind
from tests.contracts.schemas import JsonSchema


@dataclass(frozen=True, slots=True)
class Pair:
    """Two schemas; ``backward`` and ``forward`` hold what is in the way, or None."""

    why: str
    old: JsonSchema
    new: JsonSchema
    backward: Kind | None = None
    forward: Kind | None = None


def record(
    *fields: dict[str, JsonSchema], name: str = "Event", **more: JsonSchema
) -> dict[str, JsonSchema]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(
    name: str, kind: JsonSchema, *default: JsonSchema, **more: JsonSchema
) -> dict[str, JsonSchema]:
    given = {"default": default[0]} if default else {}
    return {"name": name, "type": kind, **given, **more}


def logical(base: str, name: str, **more: int) -> dict[str, JsonSchema]:
    return {"type": base, "logicalType": name, **more}


def enum(*symbols: str, name: str = "Colour", **more: JsonSchema) -> dict[str, JsonSchema]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def fixed(size: int, name: str = "Key", **more: JsonSchema) -> dict[str, JsonSchema]:
    return {"type": "fixed", "name": name, "size": size, **more}


def array(items: JsonSchema) -> dict[str, JsonSchema]:
    return {"type": "array", "items": items}


def mapping(values: JsonSchema) -> dict[str, JsonSchema]:
    return {"type": "map", "values": values}


A = field("a", "string")
MONEY = logical("bytes", "decimal", precision=12, scale=2)
MICROS = logical("long", "timestamp-micros")
UUID = logical("string", "uuid")

PROMOTIONS: Sequence[Pair] = (
    Pair("the same", "int", "int"),
    Pair("widened", "int", "long", None, Kind.TYPE),
    Pair("widened to a float", "int", "float", None, Kind.TYPE),
    Pair("widened to a double", "int", "double", None, Kind.TYPE),
    Pair("long as float", "long", "float", None, Kind.TYPE),
    Pair("long as double", "long", "double", None, Kind.TYPE),
    Pair("float as double", "float", "double", None, Kind.TYPE),
    Pair("narrowed", "long", "int", Kind.TYPE, None),
    Pair("text is bytes and bytes are text", "string", "bytes"),
    Pair("a number is no text", "long", "string", Kind.TYPE, Kind.TYPE),
    Pair("a flag is no number", "boolean", "int", Kind.TYPE, Kind.TYPE),
    Pair("nothing is no text", "null", "string", Kind.TYPE, Kind.TYPE),
    Pair("a list is no map", array("int"), mapping("int"), Kind.TYPE, Kind.TYPE),
    Pair("one is not many", "int", array("int"), Kind.TYPE, Kind.TYPE),
)

FIELDS: Sequence[Pair] = (
    Pair("defaulted", record(A), record(A, field("b", "int", 0))),
    Pair("no default", record(A), record(A, field("b", "int")), Kind.DEFAULT, None),
    Pair("removed and wanted", record(A, field("b", "int")), record(A), None, Kind.DEFAULT),
    Pair("removed, not wanted", record(A, field("b", "int", 0)), record(A)),
    Pair("null is a default", record(A), record(A, field("b", ["null", "int"], None))),
    Pair("null is no default by itself", record(A), record(A, field("b", ["null", "int"])),
         Kind.DEFAULT, None),
    Pair("another default", record(field("b", "int", 0)), record(field("b", "int", 9))),
    Pair("default dropped, both there", record(field("b", "int", 0)), record(field("b", "int"))),
    Pair("order of fields", record(A, field("b", "int")), record(field("b", "int"), A)),
    Pair("renamed", record(A), record(field("b", "string")), Kind.DEFAULT, Kind.DEFAULT),
    Pair("renamed by alias", record(A), record(field("b", "string", aliases=["a"])),
         None, Kind.DEFAULT),
    Pair("renamed by alias, defaulted before", record(field("a", "string", "")),
         record(field("b", "string", aliases=["a"]))),
    Pair("alias and promotion", record(field("a", "int")),
         record(field("b", "long", aliases=["a"])), None, Kind.DEFAULT),
    Pair("alias to another type", record(field("a", "int", 0)),
         record(field("b", "string", aliases=["a"])), Kind.TYPE, None),
    Pair("name and alias both written", record(A, field("b", "string")),
         record(field("b", "string", aliases=["a"])), Kind.AMBIGUOUS, Kind.DEFAULT),
    Pair("old name used again", record(A),
         record(field("b", "string", aliases=["a"]), field("a", "string", "")),
         Kind.AMBIGUOUS, None),
    Pair("one source, two takers", record(A), record(field("b", "string", aliases=["a"]),
         field("c", "string", aliases=["a"])), Kind.AMBIGUOUS, Kind.DEFAULT),
    Pair("an alias that is a field, too", record(A, field("b", "string")),
         record(field("a", "string", aliases=["b"]), field("b", "string"))),
    Pair("words only", record(A), record(field("a", "string", doc="said"), doc="said")),
    Pair("empty record", record(), record()),
    Pair("deep change", record(field("in", record(A, name="In"))),
         record(field("in", record(field("a", "int"), name="In"))), Kind.TYPE, Kind.TYPE),
    Pair("deep default", record(field("in", record(A, name="In"))),
         record(field("in", record(A, field("b", "int", 0), name="In")))),
)  # fmt: skip

NAMES: Sequence[Pair] = (
    Pair("another record", record(A), record(A, name="Other"), Kind.NAME, Kind.NAME),
    Pair("another record by alias", record(A), record(A, name="Other", aliases=["Event"]),
         None, Kind.NAME),
    Pair("unqualified names match", record(A, namespace="x"), record(A, namespace="y")),
    Pair("dotted names match", record(A, name="x.Event"), record(A, namespace="x")),
    Pair("alias in the reader's namespace", record(A, namespace="x"),
         record(A, name="Other", namespace="x", aliases=["Event"]), None, Kind.NAME),
    Pair("alias in another namespace", record(A, namespace="x"),
         record(A, name="Other", namespace="y", aliases=["Event"]), Kind.NAME, Kind.NAME),
    Pair("alias in full", record(A, namespace="x"),
         record(A, name="Other", namespace="y", aliases=["x.Event"]), None, Kind.NAME),
    Pair("another enum", enum("RED"), enum("RED", name="Tint"), Kind.NAME, Kind.NAME),
    Pair("another fixed", fixed(4), fixed(4, name="Id"), Kind.NAME, Kind.NAME),
    Pair("a record is no enum", record(A, name="X"), enum("RED", name="X"), Kind.TYPE, Kind.TYPE),
)  # fmt: skip

ENUMS: Sequence[Pair] = (
    Pair("symbol added", enum("RED"), enum("RED", "BLUE"), None, Kind.SYMBOL),
    Pair("symbol removed", enum("RED", "BLUE"), enum("RED"), Kind.SYMBOL, None),
    Pair("symbol added, default before", enum("RED", default="RED"),
         enum("RED", "BLUE", default="RED")),
    Pair("symbol added, default too late", enum("RED"), enum("RED", "BLUE", default="RED"),
         None, Kind.SYMBOL),
    Pair("symbol removed, default left", enum("RED", "BLUE"), enum("RED", default="RED")),
    Pair("symbols in another order", enum("RED", "BLUE"), enum("BLUE", "RED")),
    Pair("enum as text", enum("RED"), "string", Kind.TYPE, Kind.TYPE),
    Pair("enum by alias", enum("RED"), enum("RED", name="Tint", aliases=["Colour"]),
         None, Kind.NAME),
    Pair("enum default is no field default", record(),
         record(field("c", enum("RED", default="RED"))), Kind.DEFAULT, None),
)  # fmt: skip

UNIONS: Sequence[Pair] = (
    Pair("made optional", "string", ["null", "string"], None, Kind.BRANCH),
    Pair("made required", ["null", "string"], "string", Kind.BRANCH, None),
    Pair("branches in another order", ["null", "string"], ["string", "null"]),
    Pair("branch added", ["null", "int"], ["null", "int", "string"], None, Kind.BRANCH),
    Pair("branch removed", ["int", "string"], ["int"], Kind.BRANCH, None),
    Pair("branch widened", ["null", "int"], ["null", "long"], None, Kind.BRANCH),
    Pair("one branch is what it was", ["int"], "int"),
    Pair("a promotion before the very type", "long", ["double", "long"], None, Kind.BRANCH),
    Pair("a promotion before the very moment", MICROS, ["double", MICROS],
         Kind.MEANING, Kind.BRANCH),
    Pair("a promotion before another meaning", "long", ["double", MICROS],
         Kind.MEANING, Kind.BRANCH),
    Pair("the same, though ambiguous to others",
         ["null", record(A, name="x.In"), record(A, name="y.In")],
         ["null", record(A, name="x.In"), record(A, name="y.In")]),
    Pair("branch changed inside", ["null", record(A, name="In")],
         ["null", record(A, field("b", "int"), name="In")], Kind.DEFAULT, None),
    Pair("branch renamed", ["null", record(A, name="In")], ["null", record(A, name="Within")],
         Kind.BRANCH, Kind.BRANCH),
    Pair("branch renamed by alias", ["null", record(A, name="In")],
         ["null", record(A, name="Within", aliases=["In"])], None, Kind.BRANCH),
    Pair("one name in two namespaces", ["null", record(A, name="y.In")],
         ["null", record(A, name="x.In"), record(A, name="y.In")], Kind.AMBIGUOUS, None),
    Pair("optional list of other items", ["null", array("int")], ["null", array("string")],
         Kind.TYPE, Kind.TYPE),
)  # fmt: skip

COMPLEX: Sequence[Pair] = (
    Pair("items widened", array("int"), array("long"), None, Kind.TYPE),
    Pair("values widened", mapping("float"), mapping("double"), None, Kind.TYPE),
    Pair("values optional", mapping("int"), mapping(["null", "int"]), None, Kind.BRANCH),
    Pair("fixed of another size", fixed(4), fixed(8), Kind.SIZE, Kind.SIZE),
    Pair("fixed is no bytes", fixed(4), "bytes", Kind.TYPE, Kind.TYPE),
    Pair("a tree", record(field("sons", array("Event"))), record(field("sons", array("Event")))),
    Pair("a tree with more", record(field("sons", array("Event"))),
         record(field("sons", array("Event")), field("b", "int")), Kind.DEFAULT, None),
    Pair("a chain whose link changes", record(A, field("next", ["null", "Event"], None)),
         record(field("a", "long"), field("next", ["null", "Event"], None)),
         Kind.TYPE, Kind.TYPE),
    Pair("a type used twice", record(field("p", record(A, name="In")), field("q", "In")),
         record(field("q", record(A, name="In")), field("p", "In"))),
)  # fmt: skip

MEANINGS: Sequence[Pair] = (
    Pair("scale", MONEY, logical("bytes", "decimal", precision=12, scale=3),
         Kind.MEANING, Kind.MEANING),
    Pair("precision", MONEY, logical("bytes", "decimal", precision=10, scale=2),
         Kind.MEANING, Kind.MEANING),
    Pair("scale of nothing is zero", logical("bytes", "decimal", precision=9),
         logical("bytes", "decimal", precision=9, scale=0)),
    Pair("amount as bytes", MONEY, "bytes", Kind.MEANING, Kind.MEANING),
    Pair("amount on fixed", MONEY, fixed(8, logicalType="decimal", precision=12, scale=2),
         Kind.TYPE, Kind.TYPE),
    Pair("scale on fixed", fixed(8, logicalType="decimal", precision=12, scale=2),
         fixed(8, logicalType="decimal", precision=12, scale=4), Kind.MEANING, Kind.MEANING),
    Pair("unit", MICROS, logical("long", "timestamp-millis"), Kind.MEANING, Kind.MEANING),
    Pair("moment and wall clock", MICROS, logical("long", "local-timestamp-micros"),
         Kind.MEANING, Kind.MEANING),
    Pair("moment as number", MICROS, "long", Kind.MEANING, Kind.MEANING),
    Pair("date as long", logical("int", "date"), "long", Kind.MEANING, Kind.TYPE),
    Pair("time of day in another unit", logical("int", "time-millis"),
         logical("long", "time-micros"), Kind.MEANING, Kind.TYPE),
    Pair("text becomes uuid", "string", UUID, Kind.MEANING, None),
    Pair("uuid becomes text", UUID, "string", None, Kind.MEANING),
    Pair("uuid as bytes", UUID, "bytes", Kind.MEANING, Kind.MEANING),
    Pair("unknown meaning", logical("long", "fortnight"), "long"),
    Pair("meaning on the wrong type", logical("string", "date"), "string"),
    Pair("impossible digits", logical("bytes", "decimal", precision=2, scale=5), "bytes"),
)  # fmt: skip

PAIRS: Sequence[Pair] = (
    *PROMOTIONS, *FIELDS, *NAMES, *ENUMS, *UNIONS, *COMPLEX, *MEANINGS,
)  # fmt: skip

"""Avro schemas that a payload could turn against us are refused before anything is read (T5).

A recursive schema lets a few kilobytes nest deeper than the stack of the library, which then ends
the process; a list of things that take no bytes lets a few bytes ask for any amount of memory.
Without either, what comes out is bounded by what went in, and that by a cap on the payload.
"""

from dataclasses import dataclass, replace

from pydantic import JsonValue

from choreo.codec.named_types import Names, full_name, look_up, named, parts

MAX_DEPTH = 64


def check_schema(schema: JsonValue) -> None:
    """Raise ValueError for a schema that is recursive, too deep, or lists things without bytes."""
    _least(schema, _Place(named(schema)))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a schema we are."""

    names: Names
    namespace: str = ""
    within: tuple[str, ...] = ()
    depth: int = 0

    def inside(self, record: str = "") -> "_Place":
        if record in self.within:
            raise ValueError(f"the schema is recursive: {record} contains itself")
        if self.depth >= MAX_DEPTH:
            raise ValueError("the schema is nested too deep")
        if not record:
            return replace(self, depth=self.depth + 1)
        namespace = record.rpartition(".")[0]
        return _Place(self.names, namespace, (*self.within, record), self.depth + 1)


def _least(schema: JsonValue, place: _Place) -> int:
    """Tell the least number of bytes a value takes, looking into every part on the way."""
    schema = look_up(schema, place.namespace, place.names)
    if isinstance(schema, list):
        for option in schema:
            _least(option, place.inside())
        return 1
    if isinstance(schema, dict):
        return _least_of_complex(schema, place)
    return 0 if schema == "null" else 1


def _least_of_complex(schema: dict[str, JsonValue], place: _Place) -> int:
    kind = schema.get("type")
    match kind:
        case "record" | "error":
            inside = place.inside(full_name(schema, place.namespace))
            return sum(_least(part, inside) for part in parts(schema))
        case "array":
            if _least(schema.get("items"), place.inside()) == 0:
                raise ValueError("the schema has a list of things that take no bytes")
            return 1
        case "map":
            _least(schema.get("values"), place.inside())
            return 1
        case "fixed":
            size = schema.get("size")
            return size if isinstance(size, int) else 0
        case "enum":
            return 1
        case _:
            return _least(kind, place.inside())

"""Whether two Avro schemas mean the same by the same bytes."""

from collections.abc import Mapping

from pydantic import JsonValue

from choreo.codec.named_types import NAMED, Names, look_up, named


def difference(writer: JsonValue, reader: JsonValue) -> str | None:
    """Tell where two schemas mean different things by equal bytes, or None if they do not.

    Schema resolution looks at types only: it reads a decimal of scale 2 as one of scale 3, a tenth
    of the amount, without a word.
    """
    return _difference(writer, reader, named(writer), named(reader))


def _difference(
    writer: JsonValue, reader: JsonValue, written: Names, read: Names, where: str = "the whole"
) -> str | None:
    writer, reader = look_up(writer, "", written), look_up(reader, "", read)
    if isinstance(writer, list) or isinstance(reader, list):
        return _union_difference(writer, reader, written, read, where)
    if not isinstance(writer, dict) or not isinstance(reader, dict):
        return where if _meaning(writer) != _meaning(reader) else None
    if _meaning(writer) != _meaning(reader):
        return where
    for key in ("items", "values"):
        if key in writer and key in reader:
            found = _difference(writer[key], reader[key], written, read, f"{where}[…]")
            if found:
                return found
    ours = _fields(writer)
    for name, field in _fields(reader).items():
        aliases = field.get("aliases")
        candidates = [name, *(aliases if isinstance(aliases, list) else [])]
        theirs = next((ours[str(one)] for one in candidates if str(one) in ours), None)
        if theirs is not None:
            place = name if where == "the whole" else f"{where}.{name}"
            found = _difference(theirs["type"], field["type"], written, read, place)
            if found:
                return found
    return None


def _union_difference(
    writer: JsonValue, reader: JsonValue, written: Names, read: Names, where: str
) -> str | None:
    """Compare the branches that resolution would pair: those of one kind, and of one name."""
    for theirs in writer if isinstance(writer, list) else [writer]:
        one = look_up(theirs, "", written)
        for ours in reader if isinstance(reader, list) else [reader]:
            other = look_up(ours, "", read)
            if _identity(one) == _identity(other):
                found = _difference(one, other, written, read, where)
                if found:
                    return found
    return None


def _identity(schema: JsonValue) -> tuple[JsonValue, str]:
    if not isinstance(schema, dict):
        return schema, ""
    name = str(schema.get("name", "")) if schema.get("type") in NAMED else ""
    return schema.get("type"), name.rpartition(".")[2]


def _meaning(schema: JsonValue) -> tuple[JsonValue, ...]:
    if not isinstance(schema, dict) or "logicalType" not in schema:
        return ()
    kind = schema["logicalType"]
    return (kind, schema.get("precision"), schema.get("scale", 0)) if kind == "decimal" else (kind,)


def _fields(schema: Mapping[str, JsonValue]) -> dict[str, dict[str, JsonValue]]:
    fields = schema.get("fields")
    return {
        str(field["name"]): field
        for field in (fields if isinstance(fields, list) else [])
        if isinstance(field, dict)
    }

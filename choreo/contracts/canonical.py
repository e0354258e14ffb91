"""A schema without what is a matter of spelling, so that two spellings are one.

Names are split, namespaces written where they change, references given in full; words for people
and attributes that Avro does not know are left out. Not the specification's canonical form, which
leaves out defaults, aliases and logical types, too.
"""

from pydantic import JsonValue

from choreo.contracts.schema import PRIMITIVE

_MEANT = frozenset(
    {
        "aliases", "default", "fields", "items", "logicalType", "name", "namespace", "precision",
        "scale", "size", "symbols", "type", "values",
    }
)  # fmt: skip
_NAMED = ("record", "error", "enum", "fixed")


_READERS_OWN = frozenset({"aliases", "default"})


def meaning(schema: JsonValue) -> JsonValue:
    """Spell *schema* without what only matters to who reads by it: what its data mean is left."""
    return _unread(canonical(schema))


def canonical(schema: JsonValue, namespace: str = "") -> JsonValue:
    """Spell *schema* in the one way."""
    if isinstance(schema, str):
        return schema if schema in PRIMITIVE or "." in schema else _join(namespace, schema)
    if isinstance(schema, list):
        return [canonical(option, namespace) for option in schema]
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if kind not in ("array", "map", *_NAMED) and "logicalType" not in schema:
        return canonical(kind, namespace)
    return _complex({key: part for key, part in schema.items() if key in _MEANT}, namespace)


def _unread(schema: JsonValue) -> JsonValue:
    if isinstance(schema, list):
        return [_unread(part) for part in schema]
    if isinstance(schema, dict):
        return {key: _unread(part) for key, part in schema.items() if key not in _READERS_OWN}
    return schema


def _complex(schema: dict[str, JsonValue], namespace: str) -> dict[str, JsonValue]:
    if schema.get("type") in _NAMED and isinstance(schema.get("name"), str):
        outer, namespace = namespace, _namespace(schema, namespace)
        schema["name"] = str(schema["name"]).rpartition(".")[2]
        schema.pop("namespace", None)
        if namespace != outer:
            schema["namespace"] = namespace
    if schema.get("logicalType") == "decimal":
        schema.setdefault("scale", 0)
    for key in ("items", "values"):
        if key in schema:
            schema[key] = canonical(schema[key], namespace)
    fields = schema.get("fields")
    if isinstance(fields, list):
        schema["fields"] = [_field(field, namespace) for field in fields]
    return schema


def _field(field: JsonValue, namespace: str) -> JsonValue:
    if not isinstance(field, dict):
        return field
    kept = {key: part for key, part in field.items() if key in _MEANT}
    return {**kept, "type": canonical(field.get("type"), namespace)}


def _namespace(schema: dict[str, JsonValue], outer: str) -> str:
    own, dot, _ = str(schema["name"]).rpartition(".")
    told = schema.get("namespace")
    return own if dot else told if isinstance(told, str) else outer


def _join(namespace: str, name: str) -> str:
    return f"{namespace}.{name}" if namespace else name

"""The named types of an Avro schema, by their full names (specification, "Names")."""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

NAMED = ("record", "error", "enum", "fixed")

PRIMITIVE = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")

Names = dict[str, dict[str, JsonValue]]


def named(schema: JsonValue) -> Names:
    """Collect the named types within *schema* by their full names."""
    return dict(_named(schema, ""))


def _named(schema: JsonValue, namespace: str) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    if isinstance(schema, list):
        for option in schema:
            yield from _named(option, namespace)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("name"), str) and schema.get("type") in NAMED:
        full = full_name(schema, namespace)
        yield full, schema
        namespace = full.rpartition(".")[0]
    for part in parts(schema):
        yield from _named(part, namespace)


def full_name(schema: Mapping[str, JsonValue], namespace: str) -> str:
    """Tell the full name of a named type that is defined within *namespace*."""
    name = str(schema["name"])
    own = schema.get("namespace", namespace)
    return name if "." in name or not own else f"{own}.{name}"


def parts(schema: Mapping[str, JsonValue]) -> Iterator[JsonValue]:
    """Tell the schemas directly within *schema*: its fields', its items', its values'."""
    fields = schema.get("fields")
    for field in fields if isinstance(fields, list) else ():
        if isinstance(field, dict):
            yield field.get("type")
    for key in ("items", "values", "type"):
        part = schema.get(key)
        if isinstance(part, (dict, list)):
            yield part


def look_up(schema: JsonValue, namespace: str, names: Names) -> JsonValue:
    """Follow a name to its definition."""
    if not isinstance(schema, str) or schema in PRIMITIVE:
        return schema
    found = names.get(f"{namespace}.{schema}") or names.get(schema)
    if found is None:
        last = schema.rpartition(".")[2]
        found = next((names[name] for name in names if name.rpartition(".")[2] == last), None)
    return schema if found is None else found

"""Schemas that refer to others in a registry, made whole: defined is what is named first."""

from collections.abc import Mapping

from pydantic import JsonValue

from choreo.codec.named_types import NAMED, PRIMITIVE, full_name


def inlined(schema: JsonValue, referred: Mapping[str, JsonValue]) -> JsonValue:
    """Put the definitions of *referred*, by full name, into *schema* where they are named first."""
    return _Inlining(referred).part(schema, "")


class _Inlining:
    def __init__(self, referred: Mapping[str, JsonValue]) -> None:
        self._referred = referred
        self._defined: set[str] = set()

    def part(self, schema: JsonValue, namespace: str) -> JsonValue:
        if isinstance(schema, str):
            return self._named(schema, namespace)
        if isinstance(schema, list):
            return [self.part(one, namespace) for one in schema]
        if not isinstance(schema, dict):
            return schema
        kind = schema.get("type")
        if kind in NAMED and isinstance(schema.get("name"), str):
            full = full_name(schema, namespace)
            self._defined.add(full)
            namespace = full.rpartition(".")[0]
            fields = schema.get("fields")
            if not isinstance(fields, list):
                return schema
            return {**schema, "fields": [self.part(one, namespace) for one in fields]}
        whole = {key: schema[key] for key in ("items", "values", "type") if key in schema}
        if kind in ("array", "map"):
            del whole["type"]
        return {**schema, **{key: self.part(one, namespace) for key, one in whole.items()}}

    def _named(self, name: str, namespace: str) -> JsonValue:
        if name in PRIMITIVE or name in NAMED:
            return name
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        found = full if full in self._referred else name
        if found in self._defined or found not in self._referred:
            return name
        self._defined.add(found)
        definition = self._referred[found]
        if isinstance(definition, dict) and isinstance(definition.get("name"), str):
            # Its namespace is written out, for here another one may be around it.
            own, _, last = found.rpartition(".")
            definition = {**definition, "name": last, "namespace": own}
        return self.part(definition, "")

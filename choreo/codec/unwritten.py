"""Fields that a writer did not write: left to the class, whose default is a value and no JSON.

The library fills in the default as the schema's JSON has it: text for an amount, a number for a
moment. It also hands out the very same list or record every time.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast


class Unwritten:
    """Stands in a datum for a field that the writer's schema does not have."""


UNWRITTEN = Unwritten()


def without_defaults(parsed: Any) -> Any:  # noqa: ANN401 -- as the library keeps it
    """Copy a parsed schema; where it has a default, a reader will find ``UNWRITTEN``."""
    if isinstance(parsed, list):
        return list(map(without_defaults, cast("Sequence[Any]", parsed)))
    if not isinstance(parsed, dict):
        return parsed
    schema = cast("Mapping[str, Any]", parsed)
    copy = {name: _part(name, part) for name, part in schema.items()}
    if "fields" in schema:
        copy["fields"] = [_field(field) for field in schema["fields"]]
    return copy


def _part(name: str, part: Any) -> Any:  # noqa: ANN401 -- as above
    if name in {"type", "items", "values"}:
        return without_defaults(part)
    if name == "__named_schemas":
        named = cast("Mapping[str, Any]", part)
        return {full: without_defaults(schema) for full, schema in named.items()}
    return part


def _field(field: Mapping[str, Any]) -> dict[str, Any]:
    kind = cast("str | list[Any] | dict[str, Any]", field["type"])
    # A symbol is the same in JSON; and the one that tells models apart must not be missing.
    plain = isinstance(kind, dict) and kind.get("type") == "enum"
    default = {"default": UNWRITTEN} if "default" in field and not plain else {}
    return {**field, "type": without_defaults(kind), **default}

"""Names, texts and imports of a written event class."""

import json
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from choreo.contracts.schema import Enumeration, Named, Primitive, Record, Schema, unqualified
from choreo.errors import ConfigurationError
from choreo.event import Event

_PRIMITIVES: Mapping[str, str] = {
    "boolean": "bool",
    "bytes": "bytes",
    "double": "float",
    "float": "Float32",
    "int": "Int32",
    "long": "int",
    "null": "None",
    "string": "str",
}
_LOGICAL: Mapping[str, str] = {
    "date": "date",
    "time-micros": "time",
    "time-millis": "MillisTime",
    "timestamp-micros": "AwareDatetime",
    "timestamp-millis": "MillisDatetime",
    "uuid": "UUID",
}
_IMPORTS: Sequence[tuple[str, Sequence[str]]] = (
    ("datetime", ("UTC", "date", "datetime", "time")),
    ("decimal", ("Decimal",)),
    ("enum", ("Enum",)),
    ("typing", ("Annotated", "Literal", "Self")),
    ("uuid", ("UUID",)),
    ("", ()),
    ("pydantic", ("AliasChoices", "AwareDatetime", "BaseModel", "Field")),
    ("", ()),
    ("choreo", ("Event",)),
    ("choreo.contracts.wire", ("Float32", "Int32", "MillisDatetime", "MillisTime")),
)
_TAKEN = frozenset(
    {name for _, names in _IMPORTS for name in names}
    | {"bool", "bytes", "dict", "float", "int", "str", "tuple"}
)


def text(value: str) -> str:
    """Write a text as Python has it, in double quotes where they can be."""
    quoted = json.dumps(value, ensure_ascii=False)
    return quoted if value.isprintable() else repr(value)


def docstring(doc: str) -> str:
    """Write a class's docstring within its body."""
    if not re.fullmatch(r"[^\"\\\s](?:[^\"\\\r\f\v\t\x00]*[^\"\\\s])?", doc):
        return text(doc)
    lines = [line and f"    {line}" for line in doc.split("\n")]
    more = "\n".join(lines).removeprefix("    ")
    return f'"""{more}\n    """' if len(lines) > 1 else f'"""{more}"""'


def primitive(part: Primitive) -> str:
    """Write the annotation of a value without parts; raise ConfigurationError if there is none."""
    logical = part.logical
    if logical is None:
        return _PRIMITIVES[part.type]
    if logical.name == "decimal":
        digits = f"max_digits={logical.precision}, decimal_places={logical.scale}"
        return f"Annotated[Decimal, Field({digits})]"
    if logical.name not in _LOGICAL:
        raise ConfigurationError(f"no annotation says {logical}: use the type below it")
    return _LOGICAL[logical.name]


def attributes(record: Record, schema: Schema) -> Mapping[str, str]:
    """Give each field an attribute that Python and pydantic allow, its own name if it can be."""
    taken = {*_TAKEN, *dir(Event), *(unqualified(name) for name in schema.types)}
    return _allowed((field.name for field in record.fields), taken)


def members(enum: Enumeration) -> Mapping[str, str]:
    """Give each symbol a name as a member, its own if it can be."""
    return _allowed(enum.symbols, {*dir(Enum), "mro", "name", "value"})


def _allowed(names: Iterable[str], taken: set[str]) -> Mapping[str, str]:
    names = list(names)
    found: dict[str, str] = {}
    for name in names:
        plain = name.lstrip("_") or "field"
        plain = (
            f"field_{plain}" if not plain.isidentifier() or plain.startswith("model_") else plain
        )
        while keyword.iskeyword(plain) or plain in taken or (plain != name and plain in names):
            plain += "_"
        found[name] = plain
        taken.add(plain)
    return found


def check_class_name(full: str) -> None:
    """Raise ConfigurationError for a type whose name a class cannot have here."""
    name = unqualified(full)
    if name in _TAKEN or keyword.iskeyword(name) or name.startswith("__"):
        raise ConfigurationError(f"{full} cannot be the name of a class in Python here")


def tag_symbol(named: Named, owner: str, field: str) -> str | None:
    """Tell the only symbol of an enum that a Literal of one text derives to; None for others."""
    expected = owner + "".join(part.capitalize() for part in field.split("_"))
    if not isinstance(named, Enumeration) or unqualified(named.name) != expected:
        return None
    return named.symbols[0] if len(named.symbols) == 1 and named.default is None else None


def imports(classes: str) -> str:
    """Write the imports of what *classes* use."""
    lines: list[str] = []
    for module, names in _IMPORTS:
        used = [name for name in names if re.search(rf"\b{name}\b", classes)]
        if used:
            lines.append(f"from {module} import {', '.join(used)}")
        elif not module and lines and lines[-1]:
            lines.append("")
    return "\n".join(lines)

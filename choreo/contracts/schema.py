"""Avro schemas as values: names in full, logical types judged, references by name.

Source: Apache Avro 1.12 specification, "Schema Declaration", "Names", "Aliases", "Logical Types".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from pydantic import JsonValue

from choreo.contracts.logical import Logical, logical_type
from choreo.contracts.names import check_name
from choreo.errors import ConfigurationError

PRIMITIVE = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
MAX_DEPTH = 64
"""Levels of nesting; what is deeper is refused and not looked into."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands for a default that is not there; null is one."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One value without parts."""

    type: str
    logical: Logical | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A named type, by its full name; recursion ends here."""

    name: str


@dataclass(frozen=True, slots=True)
class Array:
    """Any number of values in order."""

    items: "Part"


@dataclass(frozen=True, slots=True)
class Map:
    """Values by name."""

    values: "Part"


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types."""

    branches: tuple["Part", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """So many bytes, always."""

    name: str
    aliases: tuple[str, ...] = ()
    size: int
    logical: Logical | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enumeration:
    """One of some symbols."""

    name: str
    aliases: tuple[str, ...] = ()
    symbols: tuple[str, ...]
    default: str | None = None
    """What a reader takes for a symbol it does not know."""
    doc: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One part of a record."""

    name: str
    type: "Part"
    default: JsonValue | Absent = Absent()
    aliases: tuple[str, ...] = ()
    doc: str | None = None
    deprecated: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Fields in order."""

    name: str
    aliases: tuple[str, ...] = ()
    fields: tuple[Field, ...]
    doc: str | None = None


Part = Primitive | Reference | Array | Map | Union
Named = Fixed | Enumeration | Record
Type = Primitive | Array | Map | Union | Named


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema: where it begins, and the named types within by their full names."""

    root: Part
    types: Mapping[str, Named]

    def look_up(self, part: Part) -> Type:
        """Follow a reference to the type it names."""
        return self.types[part.name] if isinstance(part, Reference) else part


def read_schema(schema: JsonValue, origin: str = "the schema") -> Schema:
    """Read an Avro schema from its JSON; raise ConfigurationError, naming *origin*, for others."""
    reading = _Reading(origin)
    root = reading.part(schema, "", 0)
    return Schema(root, reading.types)


class _Reading:
    """One schema being read, and the named types met so far."""

    def __init__(self, origin: str) -> None:
        self.types: dict[str, Named] = {}
        self._origin = origin
        self._begun: set[str] = set()

    def part(self, schema: JsonValue, namespace: str, depth: int) -> Part:
        if depth > MAX_DEPTH:
            self._refuse(f"it is nested deeper than {MAX_DEPTH} levels")
        if isinstance(schema, str):
            return self._by_name(schema, namespace)
        if isinstance(schema, list):
            return self._union(schema, namespace, depth)
        if isinstance(schema, dict):
            return self._complex(schema, namespace, depth)
        return self._refuse(f"{schema!r} is no type")

    def _by_name(self, name: str, namespace: str) -> Part:
        if name in PRIMITIVE:
            return Primitive(name)
        full = _full(name, namespace)
        if full not in self._begun:
            self._refuse(f"it names {full!r}, which is defined nowhere before")
        return Reference(full)

    def _union(self, branches: list[JsonValue], namespace: str, depth: int) -> Union:
        parts = tuple(self.part(branch, namespace, depth + 1) for branch in branches)
        if any(isinstance(part, Union) for part in parts):
            self._refuse("a union holds a union directly")
        kinds = [_kind(part) for part in parts]
        if len({*kinds}) < len(kinds):
            self._refuse(f"a union holds two of one kind: {', '.join(kinds)}")
        return Union(parts)

    def _complex(self, schema: Mapping[str, JsonValue], namespace: str, depth: int) -> Part:
        kind = schema.get("type")
        match kind:
            case "array":
                return Array(self.part(schema.get("items"), namespace, depth + 1))
            case "map":
                return Map(self.part(schema.get("values"), namespace, depth + 1))
            case "record" | "error" | "enum" | "fixed":
                return self._named(kind, schema, namespace, depth)
            case str() if kind in PRIMITIVE:
                return Primitive(kind, logical_type(schema, kind))
            case _:
                return self.part(kind, namespace, depth + 1)

    def _named(
        self, kind: str, schema: Mapping[str, JsonValue], namespace: str, depth: int
    ) -> Reference:
        told = schema.get("namespace")
        full = _full(self._name(schema, kind), told if isinstance(told, str) else namespace)
        for step in full.split("."):
            check_name(step, f"{self._origin}: the type name")
        if full in self._begun:
            self._refuse(f"it defines {full!r} twice")
        self._begun.add(full)
        own = full.rpartition(".")[0]
        aliases = tuple(_full(alias, own) for alias in self._texts(schema, "aliases"))
        if kind == "fixed":
            self.types[full] = self._fixed(schema, full, aliases)
        elif kind == "enum":
            self.types[full] = self._enumeration(schema, full, aliases)
        else:
            self.types[full] = self._record(schema, full, aliases, depth)
        return Reference(full)

    def _fixed(self, schema: Mapping[str, JsonValue], full: str, aliases: tuple[str, ...]) -> Fixed:
        size = schema.get("size")
        if not isinstance(size, int) or size < 0:
            self._refuse(f"{full} has no size")
        logical = logical_type(schema, "fixed", size)
        return Fixed(name=full, aliases=aliases, size=size, logical=logical)

    def _enumeration(
        self, schema: Mapping[str, JsonValue], full: str, aliases: tuple[str, ...]
    ) -> Enumeration:
        symbols = self._texts(schema, "symbols")
        default = schema.get("default")
        for symbol in symbols:
            check_name(symbol, f"{self._origin}: {full}: the symbol")
        if len({*symbols}) < len(symbols):
            self._refuse(f"{full} has a symbol twice")
        if default is not None and default not in symbols:
            self._refuse(f"{full}: its default is no symbol of it")
        return Enumeration(
            name=full,
            aliases=aliases,
            symbols=symbols,
            default=default if isinstance(default, str) else None,
            doc=_said(schema, "doc"),
        )

    def _record(
        self, schema: Mapping[str, JsonValue], full: str, aliases: tuple[str, ...], depth: int
    ) -> Record:
        listed = schema.get("fields")
        if not isinstance(listed, list):
            self._refuse(f"{full} has no fields")
        fields = tuple(self._field(field, full, depth) for field in listed)
        if len({field.name for field in fields}) < len(fields):
            self._refuse(f"{full} has a field twice")
        return Record(name=full, aliases=aliases, fields=fields, doc=_said(schema, "doc"))

    def _field(self, schema: JsonValue, owner: str, depth: int) -> Field:
        if not isinstance(schema, dict):
            self._refuse(f"{owner} has a field that is none")
        name = self._name(schema, "field")
        check_name(name, f"{self._origin}: {owner}: the field")
        return Field(
            name=name,
            type=self.part(schema.get("type"), owner.rpartition(".")[0], depth + 1),
            default=schema.get("default", Absent()),
            aliases=self._texts(schema, "aliases"),
            doc=_said(schema, "doc"),
            deprecated=_said(schema, "deprecated"),
        )

    def _name(self, schema: Mapping[str, JsonValue], kind: str) -> str:
        name = schema.get("name")
        return name if isinstance(name, str) else self._refuse(f"a {kind} has no name")

    def _texts(self, schema: Mapping[str, JsonValue], key: str) -> tuple[str, ...]:
        value = schema.get(key, [])
        texts = [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
        if value != texts:
            self._refuse(f"{key} is no list of names")
        return tuple(texts)

    def _refuse(self, complaint: str) -> NoReturn:
        raise ConfigurationError(f"{self._origin} is no Avro schema: {complaint}")


def unqualified(name: str) -> str:
    """Tell the last part of a full name."""
    return name.rpartition(".")[2]


def spell(part: Type | Part) -> str:
    """Say a type in a word or two, for people."""
    match part:
        case Primitive():
            return str(part.logical or part.type)
        case Array():
            return f"array of {spell(part.items)}"
        case Map():
            return f"map of {spell(part.values)}"
        case Union():
            return " or ".join(spell(branch) for branch in part.branches) or "nothing"
        case Fixed():
            return f"fixed {part.logical or f'{unqualified(part.name)}({part.size})'}"
        case _:
            return _spell_named(part)


def _spell_named(part: Reference | Enumeration | Record) -> str:
    kind = "" if isinstance(part, Reference) else f"{_KINDS[type(part)]} "
    return kind + unqualified(part.name)


_KINDS: Mapping[type, str] = {Enumeration: "enum", Record: "record"}


def _kind(part: Part) -> str:
    """Tell what may be only once in a union."""
    match part:
        case Primitive():
            return part.type
        case Reference():
            return part.name
        case _:
            return type(part).__name__.lower()


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _said(schema: Mapping[str, JsonValue], key: str) -> str | None:
    value = schema.get(key)
    return value if isinstance(value, str) else None

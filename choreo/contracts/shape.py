"""The shapes an event's fields can have on the wire: what Avro can say, and no more."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from pydantic import BaseModel

Kind = Literal[
    "bool",
    "bytes",
    "date",
    "datetime",
    "decimal",
    "float",
    "float32",
    "int",
    "int32",
    "millis",
    "str",
    "time",
    "time_millis",
    "uuid",
]

PRIMITIVES: dict[Kind, str] = {
    "bool": "boolean",
    "bytes": "bytes",
    "date": "int",
    "datetime": "long",
    "decimal": "bytes",
    "float": "double",
    "float32": "float",
    "int": "long",
    "int32": "int",
    "millis": "long",
    "str": "string",
    "time": "long",
    "time_millis": "int",
    "uuid": "string",
}
LOGICAL: dict[Kind, str] = {
    "date": "date",
    "datetime": "timestamp-micros",
    "decimal": "decimal",
    "millis": "timestamp-millis",
    "time": "time-micros",
    "time_millis": "time-millis",
    "uuid": "uuid",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value without parts."""

    kind: Kind
    precision: int = 0
    """Digits of a decimal in all."""
    scale: int = 0
    """Digits of a decimal behind its point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """One of some names: an Enum, or a Literal of strings."""

    name: str
    symbols: tuple[str, ...]
    members: tuple[str | Enum, ...]
    """What each symbol is in Python."""
    default: str | None = None
    """Symbol that a reader takes for one it does not know."""
    doc: str | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """Any number of values in order."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Entries:
    """Values by name."""

    value: "Shape"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One field of a record."""

    attribute: str
    name: str
    """On the wire."""
    shape: "Shape"
    aliases: tuple[str, ...] = ()
    """Earlier names."""
    has_default: bool = False
    default: object = None
    doc: str | None = None
    deprecated: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One model: the event itself or a part of it."""

    name: str
    namespace: str
    model: type[BaseModel]
    members: tuple[Member, ...]
    doc: str | None = None

    @property
    def full_name(self) -> str:
        """The name with its namespace, as Avro has it."""
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several shapes, or nothing where *nullable*."""

    options: "tuple[Shape, ...]"
    nullable: bool
    tag: str | None = None
    """The attribute that tells records apart."""


Shape = Scalar | Symbols | Items | Entries | Record | Choice

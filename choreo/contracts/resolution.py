"""Whether one Avro schema reads what another one wrote, and where it cannot.

Source: Apache Avro 1.12 specification, "Schema Resolution", with three rules that are stricter,
because libraries differ there or lose the meaning without a word:

- logical types must be equal, only the text of a uuid may be read as a string;
- a field whose name and alias are both in the writer's record is ambiguous, as is a branch of a
  union that one library finds by its place and another by its name;
- a promotion that a union offers before the very type is looked into like that type.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from choreo.contracts.logical import Logical
from choreo.contracts.schema import (
    Absent,
    Array,
    Enumeration,
    Field,
    Fixed,
    Map,
    Named,
    Part,
    Primitive,
    Record,
    Reference,
    Schema,
    Type,
    Union,
    spell,
    unqualified,
)

PROMOTIONS: frozenset[tuple[str, str]] = frozenset(
    {
        ("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"),
        ("long", "double"), ("float", "double"), ("string", "bytes"), ("bytes", "string"),
    }
)  # fmt: skip
"""What is read as what, besides as itself."""


class Kind(StrEnum):
    """What is in the way of reading."""

    TYPE = "type"
    """No promotion leads from one type to the other."""
    NAME = "name"
    """Named types with different names, and no alias."""
    DEFAULT = "default"
    """The reader wants a field that was not written, and has no default for it."""
    SYMBOL = "symbol"
    """The reader's enum lacks symbols, and has no default."""
    BRANCH = "branch"
    """No branch of the reader's union fits, or the reader has no union and does not fit."""
    SIZE = "size"
    """Fixed types of different sizes."""
    MEANING = "meaning"
    """Equal bytes that stand for something else: another scale, another unit."""
    AMBIGUOUS = "ambiguous"
    """Libraries would pick different fields or branches."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One place at which a reader cannot read what a writer wrote."""

    path: tuple[str, ...]
    """Names of fields, ``[]`` for items, ``{}`` for values, ``<Name>`` for a branch."""
    kind: Kind
    written: str | None
    """What the writer has there; None for nothing."""
    read: str | None
    """What the reader has there; None for nothing."""


def obstacles(reader: Schema, writer: Schema) -> list[Obstacle]:
    """List what keeps *reader* from reading everything that *writer* can write."""
    if reader == writer:
        return []
    found = _Resolution(reader, writer).between(reader.root, writer.root, ())
    return list(dict.fromkeys(found))


def spell_path(path: tuple[str, ...]) -> str:
    """Write a place as one does: ``items[].price``."""
    steps = (step if step[0] in "[{<" else f".{step}" for step in path)
    return "".join(steps).removeprefix(".") or "the whole"


class _Resolution:
    """One reader and one writer; pairs of named types that were looked into are not again."""

    def __init__(self, reader: Schema, writer: Schema) -> None:
        self._reader = reader
        self._writer = writer
        self._met: set[tuple[str, str]] = set()

    def between(self, read: Part, written: Part, path: tuple[str, ...]) -> Iterator[Obstacle]:
        reader, writer = self._reader.look_up(read), self._writer.look_up(written)
        if isinstance(writer, Union):
            for branch in writer.branches:
                yield from self._into(read, branch, path)
        elif isinstance(reader, Union):
            yield from self._into(read, written, path)
        elif isinstance(reader, Array) and isinstance(writer, Array):
            yield from self.between(reader.items, writer.items, (*path, "[]"))
        elif isinstance(reader, Map) and isinstance(writer, Map):
            yield from self.between(reader.values, writer.values, (*path, "{}"))
        elif isinstance(reader, Primitive) and isinstance(writer, Primitive):
            yield from _primitives(reader, writer, path)
        elif isinstance(reader, Named) and isinstance(writer, Named) and _same_kind(reader, writer):
            yield from self._named(reader, writer, path)
        else:
            yield Obstacle(path, Kind.TYPE, spell(writer), spell(reader))

    def _into(self, read: Part, branch: Part, path: tuple[str, ...]) -> Iterator[Obstacle]:
        """Resolve what a writer has settled on, which may be a branch, to the reader."""
        reader, writer = self._reader.look_up(read), self._writer.look_up(branch)
        if not isinstance(reader, Union):
            found = list(self.between(read, branch, path))
            unfit = [one for one in found if one.path == path and one.kind is Kind.TYPE]
            if unfit:
                yield Obstacle(path, Kind.BRANCH, spell(writer), spell(reader))
            yield from (one for one in found if one not in unfit)
            return
        fitting = [one for one in reader.branches if self._fits(self._reader.look_up(one), writer)]
        if not fitting:
            yield Obstacle(path, Kind.BRANCH, spell(writer), spell(reader))
            return
        inner = (*path, f"<{spell(branch)}>") if isinstance(branch, Reference) else path
        first, exact = fitting[0], self._exact(fitting, writer) or fitting[0]
        if isinstance(writer, Named) and len(fitting) > 1 and first != self._exact(fitting, writer):
            names = " or ".join(one.name for one in fitting if isinstance(one, Reference))
            yield Obstacle(path, Kind.AMBIGUOUS, writer.name, names)
        for candidate in dict.fromkeys((exact, first)):
            yield from self.between(candidate, branch, inner)

    def _fits(self, reader: Type, writer: Type) -> bool:
        """Tell whether a branch is the writer's by its outside, as a library picks it."""
        match reader, writer:
            case Primitive(), Primitive():
                return reader.type == writer.type or (writer.type, reader.type) in PROMOTIONS
            case (Array(), Array()) | (Map(), Map()):
                return True
            case ((Record() | Enumeration() | Fixed()), (Record() | Enumeration() | Fixed())):
                return _same_name(reader, writer)
            case _:
                return False

    def _exact(self, fitting: list[Part], writer: Type) -> Part | None:
        """Pick the branch that is the very type, by its full name if it has one."""
        for part in fitting:
            reader = self._reader.look_up(part)
            if isinstance(writer, Named):
                if part == Reference(writer.name) and _same_kind(reader, writer):
                    return part
            elif _base(reader) == _base(writer):
                return part
        return None

    def _named(self, reader: Named, writer: Named, path: tuple[str, ...]) -> Iterator[Obstacle]:
        pair = reader.name, writer.name
        if pair in self._met:
            return
        self._met.add(pair)
        if not _same_name(reader, writer):
            yield Obstacle(path, Kind.NAME, writer.name, reader.name)
        match reader, writer:
            case Record(), Record():
                yield from self._records(reader, writer, path)
            case Enumeration(), Enumeration():
                yield from _enumerations(reader, writer, path)
            case Fixed(), Fixed():
                yield from _fixed(reader, writer, path)
            case _:
                pass

    def _records(self, reader: Record, writer: Record, path: tuple[str, ...]) -> Iterator[Obstacle]:
        written = {field.name: field for field in writer.fields}
        for field in reader.fields:
            here = (*path, field.name)
            sources = [name for name in (field.name, *field.aliases) if name in written]
            rivals = _rivals(field, sources, reader)
            if rivals:
                yield Obstacle(here, Kind.AMBIGUOUS, ", ".join(sources), rivals)
            elif sources:
                yield from self.between(field.type, written[sources[0]].type, here)
            elif isinstance(field.default, Absent):
                yield Obstacle(here, Kind.DEFAULT, None, f"{spell(field.type)} without default")


def _rivals(field: Field, sources: list[str], reader: Record) -> str | None:
    """Tell between what libraries would choose for *field*; None if there is no doubt.

    A name goes before an alias. There is doubt if two written fields are left for one that reads,
    or one that was written for two.
    """
    own = {other.name for other in reader.fields}
    several = [name for name in sources if name == field.name or name not in own]
    if len(several) > 1:
        return field.name
    if not sources or sources[0] == field.name:
        return None
    takers = [other.name for other in reader.fields if sources[0] in {other.name, *other.aliases}]
    return " or ".join(takers) if len(takers) > 1 else None


def _primitives(reader: Primitive, writer: Primitive, path: tuple[str, ...]) -> Iterator[Obstacle]:
    if reader.type != writer.type and (writer.type, reader.type) not in PROMOTIONS:
        yield Obstacle(path, Kind.TYPE, spell(writer), spell(reader))
    elif not _same_meaning(reader.logical, writer.logical, reader.type):
        yield Obstacle(path, Kind.MEANING, spell(writer), spell(reader))


def _fixed(reader: Fixed, writer: Fixed, path: tuple[str, ...]) -> Iterator[Obstacle]:
    if reader.size != writer.size:
        yield Obstacle(path, Kind.SIZE, spell(writer), spell(reader))
    elif not _same_meaning(reader.logical, writer.logical, "fixed"):
        yield Obstacle(path, Kind.MEANING, spell(writer), spell(reader))


def _enumerations(
    reader: Enumeration, writer: Enumeration, path: tuple[str, ...]
) -> Iterator[Obstacle]:
    unknown = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
    if unknown and reader.default is None:
        yield Obstacle(path, Kind.SYMBOL, ", ".join(unknown), f"{spell(reader)} without default")


def _same_meaning(reader: Logical | None, writer: Logical | None, base: str) -> bool:
    """Tell whether equal bytes stand for equal things; the text of a uuid is a text."""
    if reader is None and writer is not None and writer.name == "uuid":
        return base == "string"
    return reader == writer


def _same_name(reader: Named, writer: Named) -> bool:
    own = unqualified(reader.name) == unqualified(writer.name)
    return own or writer.name in reader.aliases


def _same_kind(reader: Type, writer: Type) -> bool:
    return type(reader) is type(writer)


def _base(one: Type) -> str:
    """Tell the type without its meaning; arrays and maps are each of one kind in a union."""
    return one.type if isinstance(one, Primitive) else type(one).__name__

"""Readers of Avro as Python source, one for each pair of schemas, compiled when it is first met.

The library walks the schema for every datum; source that was written for one schema has nothing
to decide.  It takes half the time of fastavro's compiled reader (docs/decisions).  What it cannot
say is left to the library, which stays what it is held against in tests; where both read, they read
the same, and where only this one refuses, it says *Malformed*: numbers too long for their type,
indices below zero, decimals with more digits than their schema has.

Nothing of a schema becomes source but literals of its names, which ``read_schema`` has checked.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from struct import Struct
from struct import error as StructError  # noqa: N812 -- it is raised, and reads like one
from types import MappingProxyType
from typing import cast
from uuid import UUID, SafeUUID

from choreo.codec.source import Source, Unsaid
from choreo.codec.unwritten import UNWRITTEN
from choreo.contracts.schema import (
    Absent,
    Array,
    Enumeration,
    Field,
    Map,
    Part,
    Primitive,
    Record,
    Schema,
    Type,
    Union,
)

Reader = Callable[[bytes, int], tuple[object, int]]
"""Reads a datum from a place in some bytes; returns it and the place behind it."""


class Malformed(ValueError):
    """Bytes that no writer of the schema writes."""


def compiled(writer: Schema, reader: Schema | None = None) -> Reader | None:
    """Compile what reads *writer*'s data, resolved to *reader*; None for what is left to others.

    A field that was not written is ``UNWRITTEN``. The function raises EOFError for too few bytes,
    and ValueError or OverflowError for others that make no datum.
    """
    source = Source()
    try:
        _Reading(source, writer, reader).datum()
        made = source.compiled("read", "<avro reader>", _NAMES)
    except (Unsaid, SyntaxError, RecursionError, MemoryError):
        return None
    return cast("Reader", made)


class _Reading:
    """Puts into a source what reads one writer's data."""

    def __init__(self, source: Source, writer: Schema, reader: Schema | None) -> None:
        self._put, self._name, self._constant = source.put, source.name, source.constant
        self._writer = writer
        self._reader = reader or writer
        self._same = reader is None

    def datum(self) -> None:
        self._put(0, "def read(data, at):")
        self._put(1, "size = len(data)")
        self._put(1, "try:")
        self._part(self._writer.root, self._reader.root, "found", 2)
        self._put(2, "return found, at")
        self._put(1, "except (IndexError, StructError):")
        self._put(2, "raise EOFError from None")

    def _part(self, written: Part, read: Part | None, name: str, depth: int) -> None:
        """Write what reads *written* into the variable *name*; as it is where *read* is None."""
        writer = self._writer.look_up(written)
        reader = None if read is None or self._same else self._reader.look_up(read)
        match writer:
            case Record():
                self._record(writer, reader, name, depth)
            case Array():
                self._array(writer, reader, name, depth)
            case Map():
                self._map(writer, reader, name, depth)
            case Primitive() if reader in (None, writer):
                self._primitive(writer, name, depth)
            case Enumeration() if reader is None or _symbols(reader) == writer.symbols:
                self._enumeration(writer, name, depth)
            case Union() if reader is None or (_plain(writer) and reader == writer):
                self._union(writer, name, depth)
            case _:
                raise Unsaid

    def _record(self, writer: Record, reader: Type | None, name: str, depth: int) -> None:
        if reader is not None and not isinstance(reader, Record):
            raise Unsaid
        wanted = {} if reader is None else {field.name: field for field in reader.fields}
        if any(field.aliases for field in wanted.values()):
            raise Unsaid
        places: dict[str, str] = {}
        for field in writer.fields:
            place = self._name()
            other = wanted.get(field.name)
            self._part(field.type, None if other is None else other.type, place, depth)
            if reader is None or other is not None:
                places[field.name] = place
        for key, field in wanted.items():
            if key not in places:
                places[key] = self._unwritten(field)
        items = ", ".join(f"{key!r}: {place}" for key, place in places.items())
        self._put(depth, f"{name} = {{{items}}}")

    def _unwritten(self, field: Field) -> str:
        """Tell what stands for a field that was not written; a symbol is the same in JSON."""
        if isinstance(field.default, Absent):
            raise Unsaid
        plain = isinstance(self._reader.look_up(field.type), Enumeration)
        return repr(field.default) if plain else "UNWRITTEN"

    def _array(self, writer: Array, reader: Type | None, name: str, depth: int) -> None:
        if reader is not None and not isinstance(reader, Array):
            raise Unsaid
        self._put(depth, f"{name} = []")
        item = self._name()
        inner = self._blocks(depth)
        self._part(writer.items, None if reader is None else reader.items, item, inner)
        self._put(inner, f"{name}.append({item})")
        self._long("n", depth + 1)

    def _map(self, writer: Map, reader: Type | None, name: str, depth: int) -> None:
        if reader is not None and not isinstance(reader, Map):
            raise Unsaid
        self._put(depth, f"{name} = {{}}")
        key, value = self._name(), self._name()
        inner = self._blocks(depth)
        self._bytes(key, inner)
        self._part(writer.values, None if reader is None else reader.values, value, inner)
        self._put(inner, f"{name}[{key}.decode()] = {value}")
        self._long("n", depth + 1)

    def _blocks(self, depth: int) -> int:
        """Write the loops over the blocks of a list and what is in each; tell the depth within."""
        self._long("n", depth)
        self._put(depth, "while n:")
        self._put(depth + 1, "count = n")
        self._put(depth + 1, "if n < 0:")
        self._put(depth + 2, "count = -n")
        self._long("n", depth + 2)
        # Items take a byte at least (the guard has seen to it), so more cannot be there.
        self._put(depth + 1, "if count > size - at: raise EOFError")
        self._put(depth + 1, "for _ in range(count):")
        return depth + 2

    def _enumeration(self, writer: Enumeration, name: str, depth: int) -> None:
        self._long("n", depth)
        self._put(depth, "if n < 0: raise Malformed('a symbol below the first')")
        self._put(depth, f"{name} = {self._constant(writer.symbols)}[n]")

    def _union(self, writer: Union, name: str, depth: int) -> None:
        self._long("n", depth)
        for index, branch in enumerate(writer.branches):
            self._put(depth, f"{'if' if index == 0 else 'elif'} n == {index}:")
            self._part(branch, None, name, depth + 1)
        self._put(depth, "else: raise Malformed('a branch that there is not')")

    def _primitive(self, writer: Primitive, name: str, depth: int) -> None:
        if writer.logical is not None:
            self._logical(writer, name, depth)
            return
        match writer.type:
            case "null":
                self._put(depth, f"{name} = None")
            case "boolean":
                self._put(depth, f"{name} = data[at] != 0; at += 1")
            case "int" | "long":
                self._long(name, depth)
            case "float" | "double":
                read, width = ("read_float", 4) if writer.type == "float" else ("read_double", 8)
                self._put(depth, f"({name},) = {read}(data, at); at += {width}")
            case "bytes":
                self._bytes(name, depth)
            case _:
                self._bytes(name, depth)
                self._put(depth, f"{name} = {name}.decode()")

    def _logical(self, writer: Primitive, name: str, depth: int) -> None:
        assert writer.logical is not None  # noqa: S101 -- its caller has looked
        made = _LOGICAL.get((writer.type, writer.logical.name))
        if made is None:
            raise Unsaid
        if writer.type in ("bytes", "string"):
            self._bytes(name, depth)
        else:
            self._long(name, depth)
        if writer.logical.name == "decimal":
            limit = self._constant(10**writer.logical.precision)
            self._put(depth, f"n = from_bytes({name}, 'big', signed=True)")
            self._put(depth, f"if not -{limit} < n < {limit}: raise Malformed('too many digits')")
            made = f"Decimal(n).scaleb(-{writer.logical.scale}, EXACT)"
        self._put(depth, f"{name} = {made.format(name)}")

    def _long(self, name: str, depth: int) -> None:
        """Write what reads a number; most take one byte."""
        self._put(depth, "b = data[at]; at += 1")
        self._put(depth, f"if b < 128: {name} = (b >> 1) ^ -(b & 1)")
        self._put(depth, f"else: {name}, at = longer(data, at, b)")

    def _bytes(self, name: str, depth: int) -> None:
        self._long("n", depth)
        self._put(depth, "end = at + n")
        self._put(depth, "if n < 0 or end > size: raise EOFError")
        self._put(depth, f"{name} = data[at:end]; at = end")


def _symbols(reader: Type) -> tuple[str, ...] | None:
    return reader.symbols if isinstance(reader, Enumeration) else None


def _plain(union: Union) -> bool:
    return all(isinstance(branch, Primitive) for branch in union.branches)


def _longer(data: bytes, at: int, first: int) -> tuple[int, int]:
    """Read the rest of a number that takes several bytes (zigzag, seven bits a byte)."""
    number, shift = first & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 128:  # noqa: PLR2004 -- the format's own
            break
        shift += 7
        if shift > 63:  # noqa: PLR2004 -- the format's own
            raise Malformed("a number of more than ten bytes")
    if number >> 64:
        raise Malformed("a number of more than 64 bits")
    return (number >> 1) ^ -(number & 1), at


def _uuid(text: str) -> UUID:
    """Do what UUID(text) does, in half the time for the usual form."""
    digits = text.replace("-", "")
    if len(text) != 36 or len(digits) != 32:  # noqa: PLR2004 -- RFC 4122's
        return UUID(text)
    made = object.__new__(UUID)
    object.__setattr__(made, "int", int(digits, 16))
    object.__setattr__(made, "is_safe", SafeUUID.unknown)
    return made


def _time(microseconds: int) -> time:
    seconds, rest = divmod(microseconds, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return time(hour, minute, second, rest)


_LOGICAL: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("bytes", "decimal"): "",
        ("int", "date"): "fromordinal({} + 719163)",
        ("int", "time-millis"): "as_time({} * 1000)",
        ("long", "time-micros"): "as_time({})",
        ("long", "timestamp-micros"): "EPOCH + timedelta(0, 0, {})",
        ("long", "timestamp-millis"): "EPOCH + timedelta(0, 0, {} * 1000)",
        ("string", "uuid"): "as_uuid({}.decode())",
    }
)
_NAMES: Mapping[str, object] = MappingProxyType(
    {
        "Decimal": Decimal,
        "EOFError": EOFError,
        "EPOCH": datetime(1970, 1, 1, tzinfo=UTC),
        "EXACT": Context(prec=1000),
        "Malformed": Malformed,
        "StructError": StructError,
        "UNWRITTEN": UNWRITTEN,
        "as_time": _time,
        "as_uuid": _uuid,
        "from_bytes": int.from_bytes,
        "fromordinal": date.fromordinal,
        "longer": _longer,
        "read_double": Struct("<d").unpack_from,
        "read_float": Struct("<f").unpack_from,
        "timedelta": timedelta,
    }
)

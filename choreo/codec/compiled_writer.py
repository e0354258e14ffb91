"""Writers of Avro as Python source, one for each event class, compiled when it is first written.

The library makes a datum of an event and walks the schema for it; source that was written for one
class puts its attributes down as bytes. It takes a third of the time (docs/decisions). What both
write is the same, to the byte; what only this one refuses is no value of its type: fractions and
numbers that are too long for an integer, amounts with more digits than their contract has.

Nothing of a class becomes source but literals of its attributes.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from decimal import Context, Decimal
from enum import Enum
from struct import Struct
from types import MappingProxyType
from typing import cast
from uuid import UUID

from choreo.codec.source import Source, Unsaid
from choreo.contracts.defaults import option_of
from choreo.contracts.shape import (
    Choice,
    Entries,
    Items,
    Kind,
    Member,
    Record,
    Scalar,
    Shape,
    Symbols,
)

Writer = Callable[[object], bytes]

SMALL = 1024
"""Numbers from zero up whose bytes are made beforehand: lengths, most of all."""


_LENGTH = f"put(small[n] if n < {SMALL} else long(n))"


def compiled_writer(shape: Record, prefix: bytes) -> Writer | None:
    """Compile what writes an event behind *prefix*; None for a class that is left to others.

    The function raises whatever a value that is none of its type leads to.
    """
    source = Source()
    try:
        _Writing(source).event(shape, prefix)
        made = source.compiled("write", "<avro writer>", _NAMES)
    except (Unsaid, SyntaxError, RecursionError, MemoryError):
        return None
    return cast("Writer", made)


class _Writing:
    """Puts into a source what writes one class."""

    def __init__(self, source: Source) -> None:
        self._put, self._name, self._constant = source.put, source.name, source.constant

    def event(self, shape: Record, prefix: bytes) -> None:
        self._put(0, "def write(event):")
        self._put(1, f"out = [{self._constant(prefix)}]")
        self._put(1, "put = out.append")
        self._record(shape, "event", 1)
        self._put(1, "return b''.join(out)")

    def _shape(self, shape: Shape, name: str, depth: int, first: int | None = None) -> None:
        """Write what puts down the variable *name*, whose option numbered *first* comes first."""
        match shape:
            case Record():
                self._record(shape, name, depth)
            case Choice():
                self._choice(shape, name, depth, first)
            case Items():
                self._items(shape, name, depth)
            case Entries():
                self._entries(shape, name, depth)
            case Symbols():
                self._put(depth, f"put({self._constant(_words(shape))}[{name}])")
            case Scalar():
                self._scalar(shape, name, depth)

    def _record(self, shape: Record, name: str, depth: int) -> None:
        # Not by attribute: reading a deprecated field warns, and writing it is no use of it.
        fields = self._name()
        self._put(depth, f"{fields} = {name}.__dict__")
        for member in shape.members:
            value = self._name()
            self._put(depth, f"{value} = {fields}[{member.attribute!r}]")
            self._shape(member.shape, value, depth, _first(member))

    def _choice(self, shape: Choice, name: str, depth: int, first: int | None) -> None:
        order: list[int | None] = [None] if shape.nullable else []
        order += range(len(shape.options))
        if first is not None:
            order.remove(first)
            order.insert(0, first)
        self._put(depth, f"if {name} is None:")
        if shape.nullable:
            self._put(depth + 1, f"put({_long(order.index(None))!r})")
        else:
            self._put(depth + 1, "raise ValueError('nothing is none of the options')")
        several = len(shape.options) > 1
        self._put(depth, "else:")
        if several:
            self._put(depth + 1, f"n = option_of({name}, {self._constant(shape)})")
        for index, option in enumerate(shape.options):
            inner = depth + 1 + several
            if several:
                self._put(depth + 1, f"{'if' if index == 0 else 'elif'} n == {index}:")
            self._put(inner, f"put({_long(order.index(index))!r})")
            self._shape(option, name, inner)

    def _items(self, shape: Items, name: str, depth: int) -> None:
        item = self._name()
        self._put(depth, f"n = len({name})")
        self._put(depth, "if n:")
        self._put(depth + 1, _LENGTH)
        self._put(depth + 1, f"for {item} in {name}:")
        self._shape(shape.item, item, depth + 2)
        self._put(depth, "put(b'\\0')")

    def _entries(self, shape: Entries, name: str, depth: int) -> None:
        pairs, key, value = self._name(), self._name(), self._name()
        self._put(depth, f"{pairs} = {name}.items()")
        self._put(depth, f"n = len({pairs})")
        self._put(depth, "if n:")
        self._put(depth + 1, _LENGTH)
        self._put(depth + 1, f"for {key}, {value} in {pairs}:")
        self._bytes(f"{key}.encode()", depth + 2)
        self._shape(shape.value, value, depth + 2)
        self._put(depth, "put(b'\\0')")

    def _scalar(self, shape: Scalar, name: str, depth: int) -> None:
        match shape.kind:
            case "str":
                self._bytes(f"{name}.encode()", depth)
            case "bytes":
                self._bytes(name, depth)
            case "uuid":
                self._bytes(f"uuid_text({name}).encode()", depth)
            case "decimal":
                limit = self._constant(10**shape.precision)
                self._bytes(f"amount({name}, {shape.scale}, {limit})", depth)
            case "int":
                small = f"small[{name}] if 0 <= {name} < {SMALL} else long({name})"
                self._put(depth, f"put({small})")
            case _:
                self._put(depth, f"put({_SCALARS[shape.kind].format(name)})")

    def _bytes(self, made: str, depth: int) -> None:
        self._put(depth, f"b = {made}")
        self._put(depth, "n = len(b)")
        self._put(depth, _LENGTH)
        self._put(depth, "put(b)")


def _first(member: Member) -> int | None:
    """Tell which option of a union is its first, as the default of a field must be."""
    if isinstance(member.shape, Choice) and member.has_default and member.default is not None:
        return option_of(member.default, member.shape)
    return None


def _words(shape: Symbols) -> Mapping[object, bytes]:
    """Map members to their numbers, and what they hold: with use_enum_values a model has that."""
    numbered = list(enumerate(shape.members))
    words: dict[object, bytes] = {member: _long(index) for index, member in numbered}
    return words | {
        member.value: _long(index) for index, member in numbered if isinstance(member, Enum)
    }


def _long(number: int) -> bytes:
    """Write a number, zigzag, seven bits a byte."""
    if not -(2**63) <= number < 2**63:
        raise OverflowError("a number of more than 64 bits")
    rest = (number << 1) ^ (number >> 63)
    found = bytearray()
    while rest > 127:  # noqa: PLR2004 -- the format's own
        found.append(rest & 127 | 128)
        rest >>= 7
    found.append(rest)
    return bytes(found)


def _int(number: int) -> bytes:
    if not -(2**31) <= number < 2**31:
        raise OverflowError("a number of more than 32 bits")
    return _long(number)


def _amount(value: Decimal, scale: int, limit: int) -> bytes:
    """Write an amount as its unscaled number; raise ValueError for one that its scale rounds."""
    exact = value.scaleb(scale, _EXACT)
    number = int(exact)
    if exact != number:
        raise ValueError("an amount with more digits behind its point than its contract has")
    if not -limit < number < limit:
        raise ValueError("an amount with more digits than its contract has")
    return number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True)


def _uuid_text(value: UUID | str) -> str:
    if isinstance(value, str):
        return value
    digits = f"{value.int:032x}"  # what str(value) does, and AttributeError for what is no UUID
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _seconds(value: datetime) -> tuple[int, int]:
    if value.tzinfo is None:
        raise ValueError("a naive datetime names no moment")
    since = value - _EPOCH
    return since.days * 86_400 + since.seconds, since.microseconds


def _micros(value: datetime) -> bytes:
    seconds, rest = _seconds(value)
    return _long(seconds * 1_000_000 + rest)


def _millis(value: datetime) -> bytes:
    seconds, rest = _seconds(value)
    return _long(seconds * 1000 + rest // 1000)


def _time(value: object, unit: int) -> int:
    """Count the parts of a second since midnight, of *unit* microseconds each."""
    if not isinstance(value, time) or value.tzinfo is not None:
        raise ValueError("Avro has no time zone for a time of day")
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    return (seconds * 1_000_000 + value.microsecond) // unit


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = Context(prec=1000)
_SCALARS: Mapping[Kind, str] = MappingProxyType(
    {
        "bool": "yes if {} else no",
        "date": "int32({}.toordinal() - 719163)",
        "datetime": "micros({})",
        "float": "double({})",
        "float32": "single({})",
        "int32": "int32({})",
        "millis": "millis({})",
        "time": "long(since({}, 1))",
        "time_millis": "int32(since({}, 1000))",
    }
)
_NAMES: Mapping[str, object] = MappingProxyType(
    {
        "amount": _amount,
        "double": Struct("<d").pack,
        "int32": _int,
        "long": _long,
        "micros": _micros,
        "millis": _millis,
        "no": b"\0",
        "option_of": option_of,
        "since": _time,
        "single": Struct("<f").pack,
        "small": tuple(map(_long, range(SMALL))),
        "uuid_text": _uuid_text,
        "yes": b"\1",
    }
)

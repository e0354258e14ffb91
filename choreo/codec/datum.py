"""Events as the values an Avro library takes and gives, and back; composed once per shape."""

from collections.abc import Callable, Mapping
from datetime import datetime, time
from enum import Enum
from typing import Any
from uuid import UUID

from choreo.codec.unwritten import UNWRITTEN
from choreo.contracts.defaults import option_of
from choreo.contracts.shape import (
    PRIMITIVES,
    Choice,
    Entries,
    Items,
    Kind,
    Record,
    Scalar,
    Shape,
    Symbols,
)

Convert = Callable[[Any], Any]


def to_datum(shape: Shape) -> Convert:
    """Compose what makes a datum of a value; it raises ValueError for one Avro cannot hold."""
    match shape:
        case Record():
            return _record_to_datum(shape)
        case Choice():
            return _choice_to_datum(shape)
        case Items():
            item = to_datum(shape.item)
            return list if item is _as_is else lambda value: [item(one) for one in value]
        case Entries():
            entry = to_datum(shape.value)
            return lambda value: {name: entry(one) for name, one in value.items()}
        case Symbols():
            words = dict(zip(shape.members, shape.symbols, strict=True))
            # With use_enum_values a model holds the value of a member, not the member.
            words |= {
                member.value: symbol
                for member, symbol in zip(shape.members, shape.symbols, strict=True)
                if isinstance(member, Enum)
            }
            return words.__getitem__
        case Scalar():
            return _CHECKS.get(shape.kind, _as_is)


def from_datum(shape: Shape, *, resolved: bool = False) -> Convert:
    """Compose what makes of a datum something that pydantic takes for the value.

    A *resolved* datum was written by another schema: fields may be missing, and a text may have
    been a uuid.
    """
    match shape:
        case Record():
            return _record_from_datum(shape, resolved=resolved)
        case Choice():
            return _choice_from_datum(shape, resolved=resolved)
        case Items():
            item = from_datum(shape.item, resolved=resolved)
            return _as_is if item is _as_is else lambda datum: [item(one) for one in datum]
        case Entries():
            return _entries_from_datum(from_datum(shape.value, resolved=resolved))
        case Symbols():
            members = dict(zip(shape.symbols, shape.members, strict=True))
            return _as_is if shape.symbols == shape.members else members.__getitem__
        case Scalar():
            return _text if resolved and shape.kind == "str" else _as_is


def _as_is(value: object) -> object:
    return value


def _text(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a naive datetime names no moment")
    return value


def _unzoned(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("Avro has no time zone for a time of day")
    return value


_CHECKS: Mapping[Kind, Convert] = {
    "datetime": _aware,
    "millis": _aware,
    "time": _unzoned,
    "time_millis": _unzoned,
}


def _record_to_datum(shape: Record) -> Convert:
    parts = [(part.name, part.attribute, to_datum(part.shape)) for part in shape.members]

    def convert(value: object) -> dict[str, object]:
        # Not by attribute: reading a deprecated field warns, and writing it is no use of it.
        fields = value.__dict__
        return {name: make(fields[attribute]) for name, attribute, make in parts}

    return convert


def _choice_to_datum(shape: Choice) -> Convert:
    options = [to_datum(option) for option in shape.options]
    if len(options) == 1:
        only = options[0]
        if only is _as_is:
            return _as_is
        return lambda value: None if value is None else only(value)
    # Several branches: the library is told which one, by the name of its type.
    names = [
        option.full_name if isinstance(option, Record) else PRIMITIVES[option.kind]
        for option in shape.options
        if isinstance(option, (Record, Scalar))
    ]

    def convert(value: object) -> object:
        if value is None:
            return None
        index = option_of(value, shape)
        return names[index], options[index](value)

    return convert


def _record_from_datum(shape: Record, *, resolved: bool) -> Convert:
    parts = [(part.name, from_datum(part.shape, resolved=resolved)) for part in shape.members]
    if resolved:
        return lambda datum: {
            name: make(datum[name])
            for name, make in parts
            if datum.get(name, UNWRITTEN) is not UNWRITTEN
        }
    changed = [(name, convert) for name, convert in parts if convert is not _as_is]
    if not changed:
        return _as_is

    def convert(datum: dict[str, object]) -> dict[str, object]:
        for name, make in changed:
            datum[name] = make(datum[name])
        return datum

    return convert


def _entries_from_datum(entry: Convert) -> Convert:
    if entry is _as_is:
        return _as_is
    return lambda datum: {name: entry(one) for name, one in datum.items()}


def _choice_from_datum(shape: Choice, *, resolved: bool) -> Convert:
    options = [from_datum(option, resolved=resolved) for option in shape.options]
    if all(option is _as_is for option in options):
        return _as_is
    if len(options) == 1:
        only = options[0]
        return lambda datum: None if datum is None else only(datum)
    if not any(isinstance(option, Record) for option in shape.options):
        return _text
    by_tag = _by_tag(shape, options)

    def convert(datum: dict[str, object] | None) -> object:
        if datum is None:
            return None
        name, tags = by_tag
        return tags[datum[name]](datum)

    return convert


def _by_tag(shape: Choice, options: list[Convert]) -> tuple[str, Mapping[object, Convert]]:
    """Tell the tag's name on the wire, and for each of its symbols what converts the record."""
    tags: dict[object, Convert] = {}
    wire = ""
    for option, convert in zip(shape.options, options, strict=True):
        if isinstance(option, Record):
            for part in option.members:
                if part.attribute == shape.tag and isinstance(part.shape, Symbols):
                    wire = part.name
                    tags |= dict.fromkeys(part.shape.symbols, convert)
    return wire, tags

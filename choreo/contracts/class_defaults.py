"""Defaults of a schema's JSON, written as Python has them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from pydantic import JsonValue

from choreo.contracts.class_words import attributes, members, tag_symbol, text
from choreo.contracts.schema import (
    Array,
    Enumeration,
    Map,
    Named,
    Part,
    Primitive,
    Record,
    Schema,
    Type,
    Union,
    spell,
    unqualified,
)
from choreo.errors import ConfigurationError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def default_source(schema: Schema, part: Part, default: JsonValue, naming: tuple[str, str]) -> str:
    """Write a field's default; raise ConfigurationError if it does not fit the type."""
    kind = schema.look_up(part)
    branches = kind.branches if isinstance(kind, Union) else (part,)
    fitting = (one for one in map(schema.look_up, branches) if _fits(one, default))
    found = next(fitting, None)
    written = None if found is None else _written(schema, found, default, naming)
    if written is None:
        place = ".".join(naming)
        raise ConfigurationError(f"{place}: its default {default!r} does not fit {spell(kind)}")
    return written


def _written(schema: Schema, kind: Type, default: JsonValue, naming: tuple[str, str]) -> str | None:
    source: str | None = None
    match kind, default:
        case Array(), list():
            items = [default_source(schema, kind.items, one, naming) for one in default]
            source = f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        case Map(), dict():
            entries = (
                f"{text(name)}: {default_source(schema, kind.values, one, naming)}"
                for name, one in default.items()
            )
            source = f"{{{', '.join(entries)}}}"
        case Record(), dict():
            source = _record(schema, kind, default)
        case Enumeration(), str() if default in kind.symbols:
            tagged = tag_symbol(kind, *naming)
            member = f"{unqualified(kind.name)}.{members(kind)[default]}"
            source = text(tagged) if tagged else member
        case Primitive(), _:
            source = _value(kind, default)
        case _:
            pass
    return source


def _record(schema: Schema, record: Record, default: Mapping[str, JsonValue]) -> str:
    name = unqualified(record.name)
    given = {
        field.name: default_source(schema, field.type, default[field.name], (name, field.name))
        for field in record.fields
        if field.name in default
    }
    if attributes(record, schema).items() >= {one: one for one in given}.items():
        return f"{name}({', '.join(f'{one}={value}' for one, value in given.items())})"
    return f"{name}(**{{{', '.join(f'{text(one)}: {value}' for one, value in given.items())}}})"


def _fits(kind: Type, default: JsonValue) -> bool:
    """Tell whether a default is of the sort that *kind* has in JSON."""
    match kind:
        case Primitive():
            sorts = _SORTS[kind.type]
            return isinstance(default, sorts) and (
                not isinstance(default, bool) or kind.type == "boolean"
            )
        case Record() | Map():
            return isinstance(default, dict)
        case Array():
            return isinstance(default, list)
        case _:
            return isinstance(kind, Named) and isinstance(default, str)


_SORTS: Mapping[str, type | tuple[type, ...]] = {
    "boolean": bool,
    "bytes": str,
    "double": (int, float),
    "float": (int, float),
    "int": int,
    "long": int,
    "null": type(None),
    "string": str,
}


def _value(kind: Primitive, default: JsonValue) -> str:
    try:
        if kind.logical is not None:
            return _LOGICAL[kind.logical.name](default, kind.logical.scale)
        if kind.type == "bytes":
            return repr(str(default).encode("latin-1"))
    except (ValueError, OverflowError, KeyError) as error:
        raise ConfigurationError(f"the default {default!r} is no {spell(kind)}") from error
    return text(default) if isinstance(default, str) else repr(default)


def _decimal(default: str, scale: int) -> str:
    unscaled = int.from_bytes(default.encode("latin-1"), "big", signed=True)
    return f'Decimal("{Decimal(unscaled).scaleb(-scale)}")'


def _datetime(micros: int, _: int) -> str:
    moment = _EPOCH + timedelta(microseconds=micros)
    return f"datetime({_parts(*moment.timetuple()[:6], moment.microsecond, least=3)}, tzinfo=UTC)"


def _date(days: int, _: int) -> str:
    day = (_EPOCH + timedelta(days=days)).date()
    return f"date({day.year}, {day.month}, {day.day})"


def _time(micros: int, _: int) -> str:
    moment = _EPOCH + timedelta(microseconds=micros)
    if moment.date() != _EPOCH.date():
        raise ValueError(micros)
    return f"time({_parts(*moment.timetuple()[3:6], moment.microsecond, least=2)})"


def _parts(*parts: int, least: int) -> str:
    """Write numbers without the noughts at their end, but at *least* so many."""
    listed = [*parts]
    while len(listed) > least and not listed[-1]:
        listed.pop()
    return ", ".join(map(str, listed))


def _uuid(value: str, _: int) -> str:
    return f'UUID("{UUID(value)}")'


def _time_of_millis(millis: int, _: int) -> str:
    return _time(millis * 1000, 0)


def _datetime_of_millis(millis: int, _: int) -> str:
    return _datetime(millis * 1000, 0)


_LOGICAL: Mapping[str, Callable[..., str]] = {
    "date": _date,
    "decimal": _decimal,
    "time-micros": _time,
    "time-millis": _time_of_millis,
    "timestamp-micros": _datetime,
    "timestamp-millis": _datetime_of_millis,
    "uuid": _uuid,
}

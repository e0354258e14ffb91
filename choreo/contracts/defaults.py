"""Default values of fields, as Avro's JSON has them (specification 1.12, "Complex Types")."""

import json
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel, JsonValue

from choreo.contracts.shape import Choice, Entries, Items, Kind, Record, Scalar, Shape, Symbols
from choreo.errors import ConfigurationError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def option_of(value: object, shape: Choice) -> int:
    """Tell which option of *shape* a value that is not None belongs to."""
    for index, option in enumerate(shape.options):
        match option:
            case Record() if type(value) is option.model:
                return index
            case Scalar() if type(value).__name__ == option.kind.removesuffix("32"):
                return index
            case _:
                continue
    if len(shape.options) == 1:
        return 0
    raise ConfigurationError(f"a value of type {type(value).__name__} fits no part of its union")


def default_value(value: object, shape: Shape, where: str) -> JsonValue:
    """Write a field's default as Avro's JSON has it; raise ConfigurationError if it cannot be."""
    written: JsonValue | None = None
    match shape:
        case Choice() if value is None:
            return None
        case Choice():
            return default_value(value, shape.options[option_of(value, shape)], where)
        case Record() if isinstance(value, BaseModel):
            return {
                member.name: default_value(value.__dict__[member.attribute], member.shape, where)
                for member in shape.members
            }
        case Items() if isinstance(value, Collection):
            items = cast("Collection[object]", value)
            listed = [default_value(item, shape.item, where) for item in items]
            # A set has another order in every process.
            return sorted(listed, key=json.dumps) if isinstance(value, AbstractSet) else listed
        case Entries() if isinstance(value, Mapping):
            entries = cast("Mapping[str, object]", value)
            return {key: default_value(one, shape.value, where) for key, one in entries.items()}
        case Symbols():
            found = [
                s for s, member in zip(shape.symbols, shape.members, strict=True) if member == value
            ]
            written = found[0] if found else None
        case Scalar() if isinstance(value, _TYPES[shape.kind]):
            written = _WRITE[shape.kind](value, shape)
        case _:
            pass
    if written is None:
        raise ConfigurationError(f"{where}: its default {value!r} does not fit its type")
    return written


_TYPES: Mapping[Kind, type[object] | tuple[type[object], ...]] = {
    "bool": bool,
    "bytes": bytes,
    "date": date,
    "datetime": datetime,
    "decimal": Decimal,
    "float": (float, int),
    "float32": (float, int),
    "int": int,
    "int32": int,
    "millis": datetime,
    "str": str,
    "time": time,
    "time_millis": time,
    "uuid": UUID,
}


def _decimal(value: Decimal, shape: Scalar) -> str:
    unscaled = value.scaleb(shape.scale)
    if unscaled != unscaled.to_integral_value() or abs(unscaled) >= 10**shape.precision:
        raise ConfigurationError(f"the default {value} has more digits than its type")
    number = int(unscaled)
    return number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True).decode("latin-1")


def _datetime(value: datetime, _: Scalar) -> int:
    if value.tzinfo is None:
        raise ConfigurationError(f"the default {value} names no moment: give it a time zone")
    return (value - _EPOCH) // _MICROSECOND


def _time(value: time, _: Scalar) -> int:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return seconds * 1_000_000 + value.microsecond


def _date(value: date, _: Scalar) -> int:
    return (value - _EPOCH.date()).days


def _as_is(value: JsonValue, _: Scalar) -> JsonValue:
    return value


_WRITE: Mapping[Kind, Callable[[Any, Scalar], JsonValue]] = {
    "bool": _as_is,
    "bytes": lambda value, _: str(value, "latin-1"),
    "date": _date,
    "datetime": _datetime,
    "decimal": _decimal,
    "float": lambda value, _: float(value),
    "float32": lambda value, _: float(value),
    "int": _as_is,
    "int32": _as_is,
    "millis": lambda value, shape: _datetime(value, shape) // 1000,
    "str": _as_is,
    "time": _time,
    "time_millis": lambda value, shape: _time(value, shape) // 1000,
    "uuid": lambda value, _: str(value),
}

"""What a logical type makes of the bytes below it.

Source: Apache Avro 1.12 specification, "Logical Types". One that is unknown, or on a type it does
not belong to, is ignored, as the specification demands.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

_ON: Mapping[str, tuple[str, ...]] = {
    "big-decimal": ("bytes",),
    "date": ("int",),
    "decimal": ("bytes", "fixed"),
    "duration": ("fixed",),
    "local-timestamp-micros": ("long",),
    "local-timestamp-millis": ("long",),
    "local-timestamp-nanos": ("long",),
    "time-micros": ("long",),
    "time-millis": ("int",),
    "timestamp-micros": ("long",),
    "timestamp-millis": ("long",),
    "timestamp-nanos": ("long",),
    "uuid": ("string", "fixed"),
}
_SIZES: Mapping[str, int] = {"duration": 12, "uuid": 16}
"""Bytes that a fixed type must have."""


@dataclass(frozen=True, slots=True)
class Logical:
    """What bytes or a number stand for."""

    name: str
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        """Tell it in a word."""
        return f"decimal({self.precision}, {self.scale})" if self.name == "decimal" else self.name


def logical_type(schema: Mapping[str, JsonValue], base: str, size: int = 0) -> Logical | None:
    """Read the logical type of *schema*, whose bytes are a *base*; None if it has no valid one."""
    name = schema.get("logicalType")
    if not isinstance(name, str) or base not in _ON.get(name, ()):
        return None
    if name == "decimal":
        return _decimal(schema, base, size)
    if base == "fixed" and size != _SIZES[name]:
        return None
    return Logical(name)


def _decimal(schema: Mapping[str, JsonValue], base: str, size: int) -> Logical | None:
    precision, scale = _count(schema.get("precision")), _count(schema.get("scale", 0))
    if not precision or scale is None or scale > precision:
        return None
    if base == "fixed" and precision > len(str(2 ** max(8 * size - 1, 0) - 1)) - 1:
        return None
    return Logical("decimal", precision, scale)


def _count(value: JsonValue) -> int | None:
    """Tell a number that counts digits; None for whatever is none."""
    return value if isinstance(value, int) and value >= 0 else None

"""Avro schemas derived from event classes: the same class makes the same schema, always."""

from pydantic import JsonValue

from choreo.contracts.annotations import shape_of
from choreo.contracts.defaults import default_value, option_of
from choreo.contracts.shape import (
    LOGICAL,
    PRIMITIVES,
    Choice,
    Entries,
    Items,
    Member,
    Record,
    Scalar,
    Shape,
    Symbols,
)
from choreo.event import Event


def derive(event: type[Event]) -> dict[str, JsonValue]:
    """Derive the Avro schema of *event*; raise ConfigurationError for what Avro cannot say."""
    return record_schema(shape_of(event))


def record_schema(record: Record) -> dict[str, JsonValue]:
    """Write *record* as an Avro schema; each named type is spelt out where it first occurs."""
    return _record(record, set())


def _schema(shape: Shape, defined: set[str], namespace: str) -> JsonValue:
    match shape:
        case Scalar():
            return _scalar(shape)
        case Symbols():
            return _symbols(shape, defined, namespace)
        case Items():
            return {"type": "array", "items": _schema(shape.item, defined, namespace)}
        case Entries():
            return {"type": "map", "values": _schema(shape.value, defined, namespace)}
        case Record():
            return shape.full_name if shape.full_name in defined else _record(shape, defined)
        case Choice():
            return _choice(shape, defined, namespace, None)


def _scalar(shape: Scalar) -> JsonValue:
    primitive = PRIMITIVES[shape.kind]
    if shape.kind == "decimal":
        return {
            "type": primitive,
            "logicalType": "decimal",
            "precision": shape.precision,
            "scale": shape.scale,
        }
    if shape.kind in LOGICAL:
        return {"type": primitive, "logicalType": LOGICAL[shape.kind]}
    return primitive


def _symbols(shape: Symbols, defined: set[str], namespace: str) -> JsonValue:
    full_name = f"{namespace}.{shape.name}" if namespace else shape.name
    if full_name in defined:
        return full_name
    defined.add(full_name)
    schema: dict[str, JsonValue] = {"type": "enum", "name": shape.name}
    if namespace:
        schema["namespace"] = namespace
    if shape.doc:
        schema["doc"] = shape.doc
    schema["symbols"] = list(shape.symbols)
    if shape.default is not None:
        schema["default"] = shape.default
    return schema


def _record(record: Record, defined: set[str]) -> dict[str, JsonValue]:
    defined.add(record.full_name)
    schema: dict[str, JsonValue] = {"type": "record", "name": record.name}
    if record.namespace:
        schema["namespace"] = record.namespace
    if record.doc:
        schema["doc"] = record.doc
    schema["fields"] = [_field(member, defined, record.namespace) for member in record.members]
    return schema


def _field(member: Member, defined: set[str], namespace: str) -> JsonValue:
    field: dict[str, JsonValue] = {"name": member.name}
    if member.doc:
        field["doc"] = member.doc
    if isinstance(member.shape, Choice) and member.has_default and member.default is not None:
        # The default must fit the first branch of a union (Avro before 1.12).
        first = option_of(member.default, member.shape)
        field["type"] = _choice(member.shape, defined, namespace, first)
    else:
        field["type"] = _schema(member.shape, defined, namespace)
    if member.has_default:
        field["default"] = default_value(member.default, member.shape, member.name)
    if member.aliases:
        field["aliases"] = list(member.aliases)
    if member.deprecated:
        field["deprecated"] = member.deprecated
    return field


def _choice(shape: Choice, defined: set[str], namespace: str, first: int | None) -> list[JsonValue]:
    """Write a union: null first, unless the option numbered *first* has to be."""
    order: list[Shape | None] = [None] if shape.nullable else []
    order += shape.options
    if first is not None:
        order.insert(0, order.pop(first + len(order) - len(shape.options)))
    return ["null" if one is None else _schema(one, defined, namespace) for one in order]

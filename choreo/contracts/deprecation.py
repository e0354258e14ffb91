"""Who still reads what is to go: handlers, by their source, and classes, by a writer's word."""

from collections.abc import Iterator
from dataclasses import dataclass

from choreo.contracts.field_use import Use, field_use
from choreo.contracts.schema import Record, Schema, unqualified
from choreo.plan import Plan


@dataclass(frozen=True, slots=True)
class Deprecated:
    """A field that is to go, and what is said of it."""

    field: str
    says: str
    where: str = ""
    """Line of a handler that reads it."""


def deprecated_reads(plan: Plan) -> Iterator[Deprecated]:
    """Tell which fields that its event's class deprecates a handler reads, as its source shows."""
    for name, field in plan.event.model_fields.items():
        if not field.deprecated:
            continue
        wire = field.serialization_alias or field.alias or name
        found = field_use(plan.function, plan.event, (wire,))
        if found.use is Use.READS:
            yield Deprecated(name, str(field.deprecation_message or "deprecated"), found.where)


def deprecated_by(writer: Schema, reader: Schema) -> Iterator[Deprecated]:
    """Tell what the writer's schema deprecates of what *reader* takes, and does not itself."""
    taken = {unqualified(name): one for name, one in reader.types.items()}
    for name, record in writer.types.items():
        other = taken.get(unqualified(name))
        if not isinstance(record, Record) or not isinstance(other, Record):
            continue
        known = {field.name: field for field in other.fields}
        for field in record.fields:
            mine = known.get(field.name)
            if field.deprecated and mine is not None and not mine.deprecated:
                yield Deprecated(f"{unqualified(name)}.{field.name}", field.deprecated)

"""The lock of a service, from its handlers, its committed contracts and what was seen of it."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from choreo.contracts.derive import derive
from choreo.contracts.lock import Consumption, Emission, Reading, ServiceLock
from choreo.errors import ConfigurationError
from choreo.event import Event, event_type
from choreo.plan import Plan
from choreo.service import Service
from choreo.settings import Settings
from choreo.upcast import chains

Reads = Mapping[str, Collection[str]]
"""Places in an event, and the lines that read them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one service while tests ran."""

    reads: Mapping[str, Reads] = field(default_factory=dict[str, Reads])
    """By handler; those that handled nothing are not in it."""
    emitted: Collection[type[Event]] = ()
    """Events that it published outside of its handlers."""


UNSEEN = Seen()


def lock_of(service: Service[Any], root: Path, seen: Seen = UNSEEN) -> ServiceLock:
    """Write down what *service* emits and takes; files are named as they lie below *root*."""
    settings = service.settings()
    takers: dict[type[Event], list[Plan]] = {}
    for plan in service.plans:
        takers.setdefault(plan.event, []).append(plan)
    return ServiceLock(
        owner=settings.owner,
        codec=settings.codec,
        registry=settings.registry is not None,
        mode=settings.compatibility,
        emits=[
            emission(event, handlers, settings)
            for event, handlers in _emitters(service.plans, seen.emitted).items()
        ],
        consumes=[
            _consumption(event, plans, settings, root, seen) for event, plans in takers.items()
        ],
    )


def place_below(root: Path, file: str, line: int) -> str:
    """Name a line by its file below *root*, or by the file's last two parts where it is not."""
    path = Path(file)
    try:
        return f"{path.relative_to(root).as_posix()}:{line}"
    except ValueError:
        return f"{'/'.join(path.parts[-2:])}:{line}"


def _emitters(
    plans: Iterable[Plan], roots: Iterable[type[Event]]
) -> Mapping[type[Event], list[str]]:
    found: dict[type[Event], list[str]] = {event: [] for event in roots}
    for plan in plans:
        for event in plan.emits:
            found.setdefault(event, []).append(plan.id)
    return found


def emission(event: type[Event], handlers: Sequence[str], settings: Settings) -> Emission:
    """Write down one event that is emitted, and what is committed of its earlier versions."""
    declared = event_type(event)
    return Emission(
        **_contract(event),
        handlers=list(handlers),
        earlier={
            number: schema
            for number, schema in _committed(event, settings).items()
            if number < declared.version
        },
    )


def _consumption(
    event: type[Event], plans: Sequence[Plan], settings: Settings, root: Path, seen: Seen
) -> Consumption:
    return Consumption(
        **_contract(event),
        upcasts=sorted(int(kind.rpartition(".v")[2]) for kind in chains(event)),
        newer=event_type(event).newer or settings.newer,
        contracts=list(_committed(event, settings)),
        handlers={
            plan.id: _reading(plan, settings, root, seen.reads.get(plan.id)) for plan in plans
        },
    )


def _reading(plan: Plan, settings: Settings, root: Path, reads: Reads | None) -> Reading:
    file, _, line = plan.where.rpartition(":")
    failure = plan.options.on_failure
    where = place_below(root, file, int(line)) if file else plan.where
    lines = {place: sorted(found) for place, found in (reads or {}).items()}
    return Reading(
        where=where,
        order=settings.order,
        on_failure=failure if isinstance(failure, str) else "park",
        observed=reads is not None,
        reads={
            **({} if reads is None else {name: [where] for name in _kept_by(plan.event)}),
            **lines,
        },
    )


def _kept_by(event: type[Event]) -> list[str]:
    """Name the fields that are read for the handler: what keeps order, and tells effects apart."""
    declared = event_type(event)
    named = (declared.key, declared.sequence, declared.idempotency_key)
    fields = [(name, event.model_fields.get(name)) for name in named if name is not None]
    return [info.serialization_alias or info.alias or name for name, info in fields if info]


def _contract(event: type[Event]) -> dict[str, Any]:
    declared = event_type(event)
    return {
        "event": declared.name,
        "version": declared.version,
        "topic": declared.topic.template,
        "key": declared.key,
        "sequence": declared.sequence,
        "idempotency_key": declared.idempotency_key,
        "retain": declared.retain,
        "deprecated": vars(event).get("__deprecated__"),
        "avro": _schema(event),
    }


def _schema(event: type[Event]) -> JsonValue:
    try:
        return derive(event)
    except ConfigurationError:
        return None


def _committed(event: type[Event], settings: Settings) -> dict[int, JsonValue]:
    """Read every version that is committed; raise ConfigurationError for one that cannot be."""
    declared = event_type(event)
    found: dict[int, JsonValue] = {}
    for path in (settings.schemas / declared.topic.flat / declared.name).glob("*.avsc"):
        if path.stem.isdecimal():
            try:
                found[int(path.stem)] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise ConfigurationError(f"the contract {path} cannot be read: {error}") from error
    return found

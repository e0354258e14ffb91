"""Older versions of events, brought up to the class step by step; and which ones are newer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from choreo.errors import ConfigurationError
from choreo.event import Event, EventType, Upcaster, event_type

Chain = Sequence[Upcaster]

MAX_DIGITS = 9


def chains(event: type[Event]) -> Mapping[str, Chain]:
    """Tell by CloudEvents type which older versions *event* reads, and by which steps.

    Raises ConfigurationError for a step that leads to no version of the class.
    """
    declared = event_type(event)
    steps = event.__upcasters__
    found: dict[str, Chain] = {}
    for version in sorted(steps):
        missing = [step for step in range(version, declared.version) if step not in steps]
        if missing:
            raise ConfigurationError(
                f"class {event.__name__}: version {version} is brought up to {missing[0]} and no "
                f"further: register {event.__name__}.upcast(from_version={missing[0]})"
            )
        kind = f"{declared.name}.v{version}"
        found[kind] = [steps[step] for step in range(version, declared.version)]
    return found


def brought_up(fields: dict[str, Any], chain: Iterable[Upcaster]) -> dict[str, Any]:
    """Turn the fields of an older version into those of the class."""
    for step in chain:
        fields = step(fields)
    return fields


def newer_version(declared: EventType, kind: str) -> int | None:
    """Tell the version of the CloudEvents type *kind*, if it is a newer one of the same event."""
    name, _, digits = kind.rpartition(".v")
    if name != declared.name or not (digits.isascii() and digits.isdecimal()):
        return None
    if len(digits) > MAX_DIGITS or digits.startswith("0"):
        return None
    version = int(digits)
    return version if version > declared.version else None

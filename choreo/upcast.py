"""Older versions of events, brought up to the class step by step: 1 to 2, 2 to 3."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from choreo.errors import ConfigurationError
from choreo.event import Event, Upcaster, event_type

Chain = Sequence[Upcaster]


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

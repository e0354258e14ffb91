"""What is wrong with a payload, told without telling what is in it (D10)."""

from collections.abc import Iterator

from pydantic import JsonValue, ValidationError

from choreo.event import Event

MAX_PROBLEMS = 5
MAX_STEPS = 12


class Describe:
    """Describes validation errors of one event class: locations and codes, no values.

    Keys of mappings are the payload's own words, so only names that the class declares are shown.
    """

    def __init__(self, event: type[Event]) -> None:
        self._event = event
        self._names: frozenset[str] | None = None

    def __call__(self, error: ValidationError) -> str:
        """Describe *error* in one line."""
        found = error.errors(include_url=False, include_context=False, include_input=False)
        parts = [f"{self._location(item['loc'])}: {item['type']}" for item in found[:MAX_PROBLEMS]]
        if len(found) > MAX_PROBLEMS:
            parts.append(f"and {len(found) - MAX_PROBLEMS} more")
        return f"{self._event.__name__}: {'; '.join(parts)}"

    def _location(self, location: tuple[int | str, ...]) -> str:
        if self._names is None:
            self._names = frozenset(_names(self._event))
        steps = [
            str(step) if isinstance(step, int) or step in self._names else "*"
            for step in location[:MAX_STEPS]
        ]
        return ".".join(steps) or "the whole"


def _names(event: type[Event]) -> Iterator[str]:
    """Tell every field name and alias that the class and the models within it declare."""
    yield from event.model_fields
    try:
        schema = event.model_json_schema()
    except Exception:  # noqa: BLE001 -- a class may hold types that JSON schema cannot say
        return
    pending: list[JsonValue] = [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            properties = part.get("properties")
            if isinstance(properties, dict):
                yield from properties
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)

"""What a handler gets of a memory store: a place for values that is written whole or not at all."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from choreo.errors import StoreError

GONE = object()


class Values:
    """What handlers have written, by key, each with the count of its changes."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}
        self._changes: dict[str, int] = {}

    @property
    def current(self) -> dict[str, object]:
        """Everything that was committed."""
        return dict(self._values)

    def get(self, key: str) -> object:
        """Return what was committed under *key*, or ``GONE``."""
        return self._values.get(key, GONE)

    def changes(self, key: str) -> int:
        """Count how often *key* was written."""
        return self._changes.get(key, 0)

    def apply(self, written: dict[str, object]) -> None:
        """Commit what a transaction has written."""
        for key, value in written.items():
            self._changes[key] = self.changes(key) + 1
            if value is GONE:
                self._values.pop(key, None)
            else:
                self._values[key] = value


class MemoryTransaction(MutableMapping[str, Any]):
    """A mapping whose changes are committed with the event's end, or dropped.

    Two transactions that run at once and touch the same key do not lose each other's changes: the
    second to end fails with StoreError, and its event is handled again. What is taken out of the
    mapping is not a copy: put changed values back instead of changing them in place.
    """

    def __init__(self, values: Values) -> None:
        self._shared = values
        self._seen: dict[str, int] = {}
        self._written: dict[str, object] = {}

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 -- what was put there
        value = self._look(key)
        if value is GONE:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: object) -> None:
        self._see(key)
        self._written[key] = value

    def __delitem__(self, key: str) -> None:
        if self._look(key) is GONE:
            raise KeyError(key)
        self._written[key] = GONE

    def __iter__(self) -> Iterator[str]:
        for key in list({**self._shared.current, **self._written}):
            if self._look(key) is not GONE:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def commit(self) -> None:
        """Write what was changed; raise StoreError if another has changed what was looked at."""
        self.check()
        self._shared.apply(self._written)

    def check(self) -> None:
        """Raise StoreError if another has changed what was looked at."""
        for key, changes in self._seen.items():
            if self._shared.changes(key) != changes:
                raise StoreError(f"memory store: {key!r} was changed meanwhile; it is tried again")

    def _look(self, key: str) -> object:
        self._see(key)
        return self._written[key] if key in self._written else self._shared.get(key)

    def _see(self, key: str) -> None:
        self._seen.setdefault(key, self._shared.changes(key))

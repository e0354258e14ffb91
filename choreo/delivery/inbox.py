"""Which events a handler has finished, and which it is at: in memory, for one process's life.

Theory of operation.  A key is *open* from its first attempt until it ends; a second delivery of an
open event waits for that end and is never settled on the first one's behalf (I4).  Finished keys
are kept in two generations of one dict each; when the young one is full the old one is dropped
whole, so that between *window* and twice as many last events are remembered and expiry costs
nothing.  What was dead-lettered is not kept: a replay must be handled (I12).

Finished keys are kept as text: the collector does not look into a dict of texts and numbers, and
into one of a hundred thousand tuples for longer than all handlers may be held up.
"""

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

Key = tuple[int, str, str]
"""Handler, source and id: two handlers of one event do not hide it from each other (I8)."""

T = TypeVar("T")


def replay_of(key: Key, generation: int) -> Key:
    """Name one replay of an event, whose end is remembered however it ended (I12)."""
    handler, source, identity = key
    return (handler, source, f"{identity}\0{generation}")


class Inbox(Generic[T]):
    """The duplicates filter of one process."""

    __slots__ = ("_old", "_open", "_waiting", "_window", "_young")

    def __init__(self, window: int) -> None:
        self._window = window
        self._young: dict[str, Hashable] = {}
        self._old: dict[str, Hashable] = {}
        self._open: dict[str, T] = {}
        self._waiting: dict[str, list[T]] = {}

    def finished(self, key: Key) -> bool:
        """Say whether the event was finished by this handler, as far as is remembered."""
        name = name_of(key)
        return name in self._young or name in self._old

    def fingerprint(self, key: Key) -> Hashable:
        """Tell the payload with which a finished event is remembered."""
        name = name_of(key)
        return self._young[name] if name in self._young else self._old[name]

    def remember(self, key: Key, fingerprint: Hashable) -> None:
        """Count the event as finished."""
        if self._window:
            self._kept(name_of(key), fingerprint)

    def forget(self, key: Key) -> None:
        """Count the event as unfinished."""
        name = name_of(key)
        self._young.pop(name, None)
        self._old.pop(name, None)

    def begins(self, name: str, owner: T) -> bool:
        """Open a key for *owner*, if the event is not finished and nobody's; see ``name_of``."""
        return (
            name not in self._young
            and name not in self._old
            and self._open.setdefault(name, owner) is owner
        )

    def ends(self, name: str, owner: T, fingerprint: Hashable) -> Sequence[T]:
        """Count as finished what *owner* had open, as ``remember`` and ``close`` do in turn."""
        young = self._young
        if len(young) < self._window:
            young[name] = fingerprint
        elif self._window:
            self._kept(name, fingerprint)
        if self._waiting or self._open.get(name) is not owner:
            return self._closed(name, owner)
        del self._open[name]
        return ()

    def claim(self, key: Key, owner: T) -> bool:
        """Open *key* for *owner*; False if another has it open: *owner* then waits for its end."""
        name = name_of(key)
        if self._open.setdefault(name, owner) is owner:
            return True
        self._waiting.setdefault(name, []).append(owner)
        return False

    def close(self, key: Key, owner: T) -> Sequence[T]:
        """End what *owner* had open under *key*; return those that waited, in order of arrival."""
        return self._closed(name_of(key), owner)

    def closes(self, name: str, owner: T) -> Sequence[T]:
        """End what *owner* had open by its name, as ``close`` does."""
        return self._closed(name, owner)

    def waiting(self) -> list[T]:
        """List all that wait for another's end."""
        return [item for waiters in self._waiting.values() for item in waiters]

    def leave(self, item: T) -> None:
        """Stop *item* from waiting."""
        for waiters in self._waiting.values():
            if item in waiters:
                waiters.remove(item)
                return

    def _kept(self, name: str, fingerprint: Hashable) -> None:
        if len(self._young) >= self._window:
            self._old = self._young
            self._young = {}
        self._young[name] = fingerprint

    def _closed(self, name: str, owner: T) -> Sequence[T]:
        if self._open.get(name) is not owner:
            return ()
        del self._open[name]
        return self._waiting.pop(name, ()) if self._waiting else ()


def name_of(key: Key) -> str:
    """Write *key* as one text, which no other has: sources hold no control characters."""
    return f"{key[1]}\0{key[2]}\0{key[0]}"

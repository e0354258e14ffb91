"""MemoryStore: a store that lives as long as it is referred to."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from choreo.clock import Clock, SystemClock
from choreo.errors import ConfigurationError, StoreError
from choreo.store.memory.books import Books, Scope
from choreo.store.memory.ledger import MemoryLedger
from choreo.store.memory.transaction import MemoryTransaction
from choreo.store.port import Store

_NAMED: WeakValueDictionary[str, Books] = WeakValueDictionary()
"""Books that have a name, for as long as a store refers to them."""


class MemoryStore:
    """Books in memory: ``memory://`` are one's own, ``memory://name`` are shared in the process.

    They live as long as any store refers to them: what was written is still there when the store is
    entered again.
    """

    durable = False
    transaction = MemoryTransaction

    def __init__(self, url: str = "memory://", *, clock: Clock | None = None) -> None:
        """Take the books of the URL's name, or new ones; leases run out by *clock*."""
        parts = urlsplit(url)
        if parts.scheme != "memory" or parts.query or parts.fragment or "@" in parts.netloc:
            raise ConfigurationError("the memory store: write memory:// or memory://name")
        self._name = (parts.netloc + parts.path).strip("/")
        books = _NAMED.get(self._name) if self._name else None
        self._books = books or Books(clock or SystemClock())
        if self._name:
            _NAMED[self._name] = self._books
        self._open = False

    @property
    def url(self) -> str:
        """The name under which it is shared."""
        return f"memory://{self._name}"

    @property
    def values(self) -> Mapping[str, object]:
        """What handlers have written through their transactions, as committed now."""
        return self._books.values.current

    async def __aenter__(self) -> Self:
        """Open it; raise StoreError if it is open."""
        if self._open:
            raise StoreError(f"store {self.url} is open already: make another MemoryStore")
        self._open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Close it; its books stay."""
        self._open = False

    async def ledger(self, service: str, handlers: Sequence[str], /) -> MemoryLedger:
        """Open the books of *service*, whose handlers are numbered in the order given."""
        if not self._open:
            raise StoreError(f"store {self.url} is not open: use it within async with")
        return MemoryLedger(self._books, Scope(service, tuple(handlers)))

    def unavailable(self, error: BaseException, /) -> bool:
        """Say whether *error* tells of a conflict between transactions, and not of a mistake."""
        return isinstance(error, StoreError)


_: type[Store[MemoryTransaction]] = MemoryStore

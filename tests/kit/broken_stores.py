"""Stores that are each wrong in one way by themselves, and how any of them is reached."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Self

from choreo.store.memory import MemoryStore, MemoryTransaction
from choreo.store.memory.books import Books, Scope
from choreo.store.memory.flights import MemoryFlights
from choreo.store.memory.ledger import MemoryLedger
from choreo.store.memory.lot import MemoryLot
from choreo.store.memory.outbox import MemoryOutbox
from choreo.store.memory.streams import MemoryStreams
from choreo.testing.clock import ManualClock
from choreo.testing.contract import StoreSetup, fresh_name


class Wrapped(MemoryStore):
    """Changes nothing; a mutant is a store, or the kind of ledger that one gives."""

    kind: type[MemoryLedger] = MemoryLedger

    async def ledger(self, service: str, handlers: Sequence[str], /) -> MemoryLedger:
        await super().ledger(service, handlers)
        return self.kind(self._books, Scope(service, tuple(handlers)))


class KeepsBooksToItself(Wrapped):
    """Shows other processes nothing of what it has written."""

    caught_by = (
        "test_an_end_is_known_to_every_process",
        "test_of_many_who_want_it_one_gets_the_lease",
        "test_of_twins_in_two_processes_one_is_written",
    )

    def __init__(self, url: str, *, clock: ManualClock) -> None:
        super().__init__(url, clock=clock)
        values = self._books.values
        self._books = Books(clock)
        self._books.values = values


class ForgetsOnClosing(Wrapped):
    """Loses everything when it is closed."""

    caught_by = (
        "test_books_are_found_again_when_the_store_is_opened_again",
        "test_handlers_are_found_again_by_their_names",
    )

    async def __aenter__(self) -> Self:
        self._books.rows.clear()
        return await super().__aenter__()


class WorksUnopened(Wrapped):
    """Serves whoever has not opened it."""

    caught_by = ("test_a_store_that_is_not_open_says_so",)

    async def ledger(self, service: str, handlers: Sequence[str], /) -> MemoryLedger:
        return MemoryLedger(self._books, Scope(service, tuple(handlers)))


OrderPart = MemoryStreams | MemoryLot | MemoryFlights
Mutant = type[MemoryLedger] | type[MemoryOutbox] | type[Wrapped] | type[OrderPart]


def with_outbox(kind: type[MemoryOutbox]) -> type[MemoryLedger]:
    """Make the kind of ledger whose outbox is of *kind*."""

    class Outboxed(MemoryLedger):
        def __init__(self, books: Books, scope: Scope) -> None:
            super().__init__(books, scope)
            self.outbox = kind(self.outbox._shelf, books.clock)

    return Outboxed


def with_order(kind: type[OrderPart]) -> type[MemoryLedger]:
    """Make the kind of ledger one part of whose order is of *kind*."""

    class Ordered(MemoryLedger):
        def __init__(self, books: Books, scope: Scope) -> None:
            super().__init__(books, scope)
            order = self.order
            if issubclass(kind, MemoryStreams):
                order.streams = kind(order.streams._rows, scope)
            elif issubclass(kind, MemoryLot):
                order.lot = kind(order.lot._rows, scope)
            else:
                order.flights = kind(order.flights._rows, scope.service)

    return Ordered


def setup_for(kind: Mutant) -> StoreSetup:
    """Describe books of their own in memory, reached through *kind*."""
    clock = ManualClock()
    name = f"memory://{fresh_name()}"
    keep = MemoryStore(name, clock=clock)  # books live as long as a store refers to them

    def build() -> Wrapped:
        if issubclass(kind, Wrapped):
            return kind(name, clock=clock)
        store = Wrapped(name, clock=clock)
        if issubclass(kind, MemoryLedger):
            store.kind = kind
        elif issubclass(kind, MemoryOutbox):
            store.kind = with_outbox(kind)
        else:
            store.kind = with_order(kind)
        return store

    async def write(transaction: MemoryTransaction, row: str) -> None:
        transaction[fresh_name()] = row

    async def written() -> Sequence[str]:
        return [str(value) for value in keep.values.values()]

    async def pass_time(span: timedelta) -> None:
        await clock.advance(span.total_seconds())

    return StoreSetup(
        open=build, write=write, written=written, pass_time=pass_time, patience=0.2, quiet=0.01
    )

"""What keeps the order of one service's events in a memory store."""

from choreo.clock import Clock
from choreo.store.memory.books import Books, Scope
from choreo.store.memory.flights import FlightRows, MemoryFlights
from choreo.store.memory.lines import LotRows
from choreo.store.memory.lot import MemoryLot
from choreo.store.memory.streams import MemoryStreams, StreamRows
from choreo.store.order import Order
from choreo.store.port import End, Verdict


class OrderRows:
    """All that keeps order in one memory store: its part of an end."""

    def __init__(self, clock: Clock) -> None:
        self.streams = StreamRows(clock)
        self.lot = LotRows(self.streams, clock)
        self.flights = FlightRows(clock)

    def refuse(self, scope: Scope, end: End, /) -> Verdict | None:
        """Say why *end* cannot be written; None if it can."""
        return self.streams.refuse(scope, end) or self.lot.refuse(scope, end)

    def write(self, scope: Scope, end: End, /) -> None:
        """Write the share of *end*, which nobody has refused."""
        self.streams.write(scope, end)
        self.lot.write(scope, end)


class MemoryOrder:
    """Streams, lot and flights of one service."""

    def __init__(self, rows: OrderRows, scope: Scope) -> None:
        self.streams = MemoryStreams(rows.streams, scope)
        self.lot = MemoryLot(rows.lot, scope)
        self.flights = MemoryFlights(rows.flights, scope.service)


def order_in(books: Books, scope: Scope) -> MemoryOrder:
    """Open what keeps the order of one service, shared by all who use the same books."""
    for part in books.parts:
        if isinstance(part, OrderRows):
            return MemoryOrder(part, scope)
    rows = OrderRows(books.clock)
    books.parts.append(rows)
    return MemoryOrder(rows, scope)


_: type[Order] = MemoryOrder

"""What keeps the order of one service's events in one database."""

from choreo.store.order import Order
from choreo_sql.connections import Connections
from choreo_sql.flights import SqlFlights
from choreo_sql.lines import SqlLot
from choreo_sql.riding import Riding
from choreo_sql.scopes import Scopes
from choreo_sql.streams import SqlStreams


class SqlOrder:
    """Streams, lot and flights of one service."""

    def __init__(
        self, connections: Connections, scopes: Scopes, riding: Riding | None = None
    ) -> None:
        self.streams = SqlStreams(connections, scopes)
        self.lot = SqlLot(connections, scopes, riding)
        self.flights = SqlFlights(connections, scopes)


_: type[Order] = SqlOrder

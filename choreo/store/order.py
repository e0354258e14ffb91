"""What a store keeps so that order outlives a process: streams, the parking lot, and flights."""

from typing import Protocol

from choreo.store.flights import Flights
from choreo.store.lot import Lot
from choreo.store.streams import Streams


class Order(Protocol):
    """The part of one service's books that keeps order."""

    @property
    def streams(self) -> Streams:
        """How far each numbered stream has come."""
        ...

    @property
    def lot(self) -> Lot:
        """What waits behind an event that failed."""
        ...

    @property
    def flights(self) -> Flights:
        """What each process is at."""
        ...

"""The conformance kit for stores: subclass StoreContract, say how to reach a store, run pytest.

    class TestMemory(StoreContract):
        @pytest.fixture
        def setup(self) -> StoreSetup:
            name = fresh_name()
            return StoreSetup(open=lambda: MemoryStore(f"memory://{name}"), write=…, written=…)

Every test gets a ``setup`` of a store that holds no rows of a handler yet.
"""

from choreo.testing.contract.stores.attempts import Attempts
from choreo.testing.contract.stores.copies import Copies
from choreo.testing.contract.stores.effects import Effects, Twins
from choreo.testing.contract.stores.ends import Ends, Purposes, Replays
from choreo.testing.contract.stores.flights import Flights
from choreo.testing.contract.stores.leases import Leases
from choreo.testing.contract.stores.lots import Lots
from choreo.testing.contract.stores.numbered import NumberedLines
from choreo.testing.contract.stores.outboxes import Relays, Rows, Timers
from choreo.testing.contract.stores.retention import Retention
from choreo.testing.contract.stores.scopes import Scopes
from choreo.testing.contract.stores.setup import StoreSetup
from choreo.testing.contract.stores.streams import Streams


class Books(Scopes, Ends, Replays, Purposes, Effects, Twins, Attempts, Leases, Retention):
    """What is known of events, and how they end."""


class Orders(Streams, Lots, NumberedLines, Copies, Flights):
    """What outlives a process so that order does: streams, the parking lot, and flights."""


class StoreContract(Books, Rows, Relays, Timers, Orders):
    """All that a store must keep; a subclass provides the fixture ``setup``."""


__all__ = ["StoreContract", "StoreSetup"]

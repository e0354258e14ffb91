"""The conformance kit for adapters: subclass BrokerContract, say how to reach a broker, run pytest.

    class TestMemory(BrokerContract):
        @pytest.fixture
        def setup(self) -> BrokerSetup:
            return BrokerSetup(open=lambda: MemoryBroker("memory://contract"))

Every declared capability is tested and every undeclared one must be refused.  The tests are
coroutines: let pytest-asyncio run in its ``auto`` mode, or mark the class with ``asyncio``.  Give
the class a time limit of several times ``patience``.  Stores have a contract of their own, in
``choreo.testing.contract.stores``.
"""

from choreo.testing.contract.demand import Demand
from choreo.testing.contract.fidelity import Fidelity
from choreo.testing.contract.lifecycle import Lifecycle
from choreo.testing.contract.outages import Outages
from choreo.testing.contract.publishing import Publishing
from choreo.testing.contract.reading import Reading
from choreo.testing.contract.settling import Settling
from choreo.testing.contract.setup import BrokerSetup, fresh_name
from choreo.testing.contract.sharing import Sharing
from choreo.testing.contract.stores import StoreContract, StoreSetup
from choreo.testing.contract.storms import Storms
from choreo.testing.contract.verify import Verdict, verify


class BrokerContract(
    Lifecycle, Fidelity, Publishing, Settling, Sharing, Demand, Reading, Storms, Outages
):
    """All that an adapter must keep; a subclass provides the fixture ``setup``."""


__all__ = [
    "BrokerContract",
    "BrokerSetup",
    "StoreContract",
    "StoreSetup",
    "Verdict",
    "fresh_name",
    "verify",
]

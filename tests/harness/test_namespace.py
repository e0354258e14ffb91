"""A namespace on a broker is a broker: it keeps the contract of all adapters."""

import pytest

from choreo.broker import Broker
from choreo.testing.contract import BrokerContract, BrokerSetup, fresh_name
from choreo.testing.namespace import NamespacedBroker
from choreo_memory import MemoryBroker


class TestNamespaced(BrokerContract):
    @pytest.fixture
    def setup(self) -> BrokerSetup:
        url = f"memory://{fresh_name()}"
        keep = MemoryBroker(url)  # a log lives as long as someone refers to it
        inner: dict[Broker, MemoryBroker] = {}

        def build() -> Broker:
            assert keep.url == url
            broker = MemoryBroker(url)
            outer = NamespacedBroker(broker, "within")
            inner[outer] = broker
            return outer

        async def crash(broker: Broker) -> None:
            inner[broker].crash()

        return BrokerSetup(open=build, crash=crash, patience=2, quiet=0.02, idle=0.05)

"""MemoryBroker keeps the contract of all adapters."""

import pytest

from choreo.broker import Broker
from choreo.testing.contract import BrokerContract, BrokerSetup, fresh_name
from choreo_memory import MemoryBroker


def memory_setup(options: str = "") -> BrokerSetup:
    """Describe a log of its own, with *options*."""
    url = f"memory://{fresh_name()}{options}"
    keep = MemoryBroker(url)  # a log lives as long as someone refers to it

    def build() -> MemoryBroker:
        assert keep.url in url
        return MemoryBroker(url)

    return BrokerSetup(open=build, crash=crash, patience=2, quiet=0.02, idle=0.05)


async def crash(broker: Broker) -> None:
    """Kill *broker*."""
    assert isinstance(broker, MemoryBroker)
    broker.crash()


class TestMemory(BrokerContract):
    @pytest.fixture
    def setup(self) -> BrokerSetup:
        return memory_setup()


class TestMemoryWithALimit(BrokerContract):
    @pytest.fixture
    def setup(self) -> BrokerSetup:
        return memory_setup("?partitions=2&max_message_bytes=1500000&retention=0")

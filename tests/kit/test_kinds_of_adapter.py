"""The contract fits adapters that memory:// is not: remote ones and those of few capabilities."""

import pytest

from choreo.testing.contract import BrokerContract, BrokerSetup
from tests.kit.setups import setup_for
from tests.kit.weather import Humble, Remote


class TestRemote(BrokerContract):
    @pytest.fixture
    def setup(self) -> BrokerSetup:
        return setup_for(Remote)


class TestHumble(BrokerContract):
    @pytest.fixture
    def setup(self) -> BrokerSetup:
        return setup_for(Humble)

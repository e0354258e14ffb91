from choreo.testing.clock import ManualClock
from choreo.testing.contract import BrokerContract, BrokerSetup
from choreo.testing.contract_samples import ContractSamples
from choreo.testing.harness import Harness, NotSettledError
from choreo.testing.observing import observe
from choreo.testing.record import Failure
from choreo.testing.trail import Trail
from choreo.testing.trouble import Trouble

__all__ = [
    "BrokerContract",
    "BrokerSetup",
    "ContractSamples",
    "Failure",
    "Harness",
    "ManualClock",
    "NotSettledError",
    "Trail",
    "Trouble",
    "observe",
]

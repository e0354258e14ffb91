"""What a test of a service, or of an adapter, is made of.

A name is imported when it is first used, so that pytest may load the plugin beside this file for
every run of everybody; what type checkers read stands in the stub.
"""

# The names are there once they are asked for.
# pyright: reportUnsupportedDunderAll=false

from importlib import import_module

HOMES = {
    "BrokerContract": "choreo.testing.contract",
    "BrokerSetup": "choreo.testing.contract",
    "ContractSamples": "choreo.testing.contract_samples",
    "Failure": "choreo.testing.record",
    "Harness": "choreo.testing.harness",
    "ManualClock": "choreo.testing.clock",
    "NotSettledError": "choreo.testing.harness",
    "Trail": "choreo.testing.trail",
    "Trouble": "choreo.testing.trouble",
    "observe": "choreo.testing.observing",
}
"""Where each name is defined."""

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


def __getattr__(name: str) -> object:
    """Import *name* from its home, once."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names that are offered, imported or not."""
    return __all__

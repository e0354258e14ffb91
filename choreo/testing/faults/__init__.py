"""Troubles for real runs: each begins, ends, and proves that it bit.

    proof = await struck(Killed(broker), seconds=5)

One without a proof raises DidNotBite: whatever held in such a run shows nothing.
"""

from choreo.testing.faults.clocks import Jump, JumpingClock
from choreo.testing.faults.disk import DiskFull, small_disk
from choreo.testing.faults.fault import (
    Blow,
    Custom,
    DidNotBite,
    Fault,
    driven,
    schedule,
    struck,
    written,
)
from choreo.testing.faults.network import BlackHole, Cut, Slow
from choreo.testing.faults.processes import (
    Frozen,
    Killed,
    Rolled,
    Server,
    Storm,
    Terminated,
)
from choreo.testing.faults.proxy import Proxy

__all__ = [
    "BlackHole",
    "Blow",
    "Custom",
    "Cut",
    "DidNotBite",
    "DiskFull",
    "Fault",
    "Frozen",
    "Jump",
    "JumpingClock",
    "Killed",
    "Proxy",
    "Rolled",
    "Server",
    "Slow",
    "Storm",
    "Terminated",
    "driven",
    "schedule",
    "small_disk",
    "struck",
    "written",
]

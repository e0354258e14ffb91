"""Whole services in a simulated world: every fault, in virtual time, the same again by its seed.

    simulate([orders, payments], scenario, seeds=range(1000), invariants=[charged_once])

The services, their delivery, inbox, outbox and parking are those that run in production; the
broker, the database, time and chance are not.  A seed that shows something wrong is shrunk to the
faults and events that it takes.
"""

from choreo.testing.observing import observe
from choreo.testing.simulation.case import Case, Corpus
from choreo.testing.simulation.history import Entry, History, Invariant
from choreo.testing.simulation.invariants import BUILT_IN
from choreo.testing.simulation.report import Finding, Report, SimulationFailed
from choreo.testing.simulation.seeds import simulate
from choreo.testing.simulation.simulation import Simulation
from choreo.testing.simulation.weather import CALM, Climate, Fault, Rates, Trap, Weather
from choreo.testing.simulation.world import Scenario, World

__all__ = [
    "BUILT_IN",
    "CALM",
    "Case",
    "Climate",
    "Corpus",
    "Entry",
    "Fault",
    "Finding",
    "History",
    "Invariant",
    "Rates",
    "Report",
    "Scenario",
    "Simulation",
    "SimulationFailed",
    "Trap",
    "Weather",
    "World",
    "observe",
    "simulate",
]

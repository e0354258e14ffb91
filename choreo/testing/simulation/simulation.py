"""Seeds, one after the other: run a world for each, judge its history, shrink what is wrong."""

import gc
import logging
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import Any

from choreo.service import Service
from choreo.settings import Settings
from choreo.testing.simulation.broker import URL
from choreo.testing.simulation.history import History, Invariant
from choreo.testing.simulation.invariants import BUILT_IN, violations
from choreo.testing.simulation.shrink import shrunk
from choreo.testing.simulation.weather import Climate, Weather
from choreo.testing.simulation.world import Scenario, World

Services = Sequence[Service[Any]] | Callable[[], Sequence[Service[Any]]]
"""The services, or what makes them anew for each seed, with whatever they hold of the outside."""
FULL_COLLECTION = 50
"""Seeds after which garbage is collected."""


class SimulationFailed(AssertionError):
    """Some seed's history is wrong; the text tells which, and how little it takes."""

    def __init__(self, finding: "Finding") -> None:
        super().__init__(str(finding))
        self.finding = finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one seed shows, with as little weather and as few events as show it."""

    seed: int
    violations: Sequence[str]
    weather: Weather
    without: frozenset[int]
    """Events of the scenario that are not needed, by their number."""
    history: History
    tries: int = 0
    """Runs that it took to shrink it."""

    def __str__(self) -> str:
        """Tell what is wrong, the faults that it takes, and the story of the first event."""
        first = self.violations[0]
        words = {word.strip(",.:") for word in first.split()}
        troubles = self.weather.troubles or ["none: the order in which things run is enough"]
        lines = [
            f"seed {self.seed}: {first}",
            *(f"  and {text}" for text in self.violations[1:4]),
            f"it takes these faults ({self.tries} runs, {len(self.without)} events left out):",
            *(f"  {trouble}" for trouble in troubles),
            "what happened:",
            *(f"  {entry}" for entry in self.history.around(words)),
        ]
        return "\n".join(lines)


@dataclass(slots=True, kw_only=True)
class Report:
    """What a simulation has shown."""

    seeds: int = 0
    seconds: float = 0.0
    steps: int = 0
    entries: dict[str, int] = field(default_factory=dict[str, int])
    """How often what kind of thing happened, in all histories: nothing seen is nothing shown."""
    findings: list[Finding] = field(default_factory=list["Finding"])

    @property
    def rate(self) -> float:
        """Seeds a second."""
        return self.seeds / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        """Tell it in one line."""
        return (
            f"{self.seeds} seeds, {len(self.findings)} failed, {self.rate:.1f} seeds/s, "
            f"{self.steps / max(self.seconds, 1e-9):,.0f} steps/s"
        )


class Simulation:
    """A scenario with services, to be run under any seed."""

    def __init__(
        self,
        services: Services,
        scenario: Scenario,
        *,
        invariants: Sequence[Invariant] = (),
        climate: Climate | None = None,
        built_in: Sequence[Invariant] = BUILT_IN,
    ) -> None:
        self._services = services
        self._scenario = scenario
        self._climate = climate or Climate()
        self._invariants = (*built_in, *invariants)
        self._settings: dict[str, Settings] = {}
        self._count = len(self._made())
        self.last: World | None = None

    def weather(self, seed: int) -> Weather:
        """Draw what *seed* has in store."""
        return self._climate.draw(Random(f"{seed} weather"), self._count)

    def run(
        self, seed: int, weather: Weather | None = None, without: frozenset[int] = frozenset()
    ) -> History:
        """Live through one seed: the same seed gives the same history, bit for bit."""
        services = [(service, self._settings_of(service)) for service in self._made()]
        world = World(seed, weather or self.weather(seed), services, without=without)
        self.last = world
        with _undisturbed():
            return world.run(self._scenario)

    def judge(self, history: History) -> list[str]:
        """List what is wrong with *history*."""
        return violations(history, self._invariants)

    def find(self, seed: int, *, shrink: bool = True) -> Finding | None:
        """Run *seed*; if its history is wrong, tell how little it takes."""
        weather = self.weather(seed)
        history = self.run(seed, weather)
        wrong = self.judge(history)
        if not wrong:
            return None
        count = self.last.count if self.last else 0
        tries = 0
        without: frozenset[int] = frozenset()
        if shrink:
            kind = wrong[0].partition(":")[0]

            def fails(weather: Weather, without: frozenset[int]) -> bool:
                found = self.judge(self.run(seed, weather, without))
                return any(text.startswith(f"{kind}:") for text in found)

            weather, without, tries = shrunk(weather, count, fails)
            history = self.run(seed, weather, without)
            wrong = self.judge(history)
        return Finding(
            seed=seed,
            violations=wrong,
            weather=weather,
            without=without,
            history=history,
            tries=tries,
        )

    def _made(self) -> Sequence[Service[Any]]:
        return self._services() if callable(self._services) else self._services

    def _settings_of(self, service: Service[Any]) -> Settings:
        if service.name not in self._settings:
            self._settings[service.name] = service.settings(
                broker=URL, telemetry=False, create_topics=True
            )
        return self._settings[service.name]


def simulate(
    services: Services,
    scenario: Scenario,
    *,
    seeds: Iterable[int] = range(100),
    invariants: Sequence[Invariant] = (),
    climate: Climate | None = None,
    told: Callable[[Report], None] | None = None,
) -> Report:
    """Run *scenario* against *services* under each seed; raise SimulationFailed at the first wrong.

    Every seed is a world of its own, with other faults and another order of things. *told* hears
    after each.
    """
    simulation = Simulation(services, scenario, invariants=invariants, climate=climate)
    report = Report()
    for seed in seeds:
        finding = tried(simulation, seed, report)
        if told is not None:
            told(report)
        if finding is not None:
            raise SimulationFailed(finding)
    return report


def tried(simulation: Simulation, seed: int, report: Report) -> Finding | None:
    """Run one seed, and count what it shows in *report*."""
    began = perf_counter()
    history = simulation.run(seed)
    wrong = simulation.judge(history)
    report.seeds += 1
    report.seconds += perf_counter() - began
    if simulation.last is not None:
        report.steps += simulation.last.loop.steps
    for entry in history:
        name = f"{entry.kind} {entry.text}" if entry.kind == "ended" else entry.kind
        report.entries[name] = report.entries.get(name, 0) + 1
    if report.seeds % FULL_COLLECTION == 0:
        gc.collect()
    if not wrong:
        return None
    finding = simulation.find(seed)
    assert finding is not None, f"seed {seed} is not the same twice: {wrong[0]}"  # noqa: S101 -- our bug
    report.findings.append(finding)
    return finding


@contextmanager
def _undisturbed() -> Generator[None]:
    """Write no logs of a world, and collect no garbage within it: its finalisers are not seeded.

    What it leaves behind is collected here, in silence: coroutines of dead processes complain when
    they are let go of in the middle of an ``await``.
    """
    level, complain = logging.root.manager.disable, sys.unraisablehook
    collecting = gc.isenabled()
    gc.disable()
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = _say_nothing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
            gc.collect(0)
    finally:
        sys.unraisablehook = complain
        logging.disable(level)
        if collecting:
            gc.enable()


def _say_nothing(_: object) -> None:
    return

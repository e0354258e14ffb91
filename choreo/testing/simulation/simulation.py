"""One seed: run a world for it, judge its history, shrink what is wrong."""

import gc
import logging
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from random import Random
from typing import Any

from choreo.service import Service
from choreo.settings import Settings
from choreo.testing.simulation.broker import URL
from choreo.testing.simulation.case import Case
from choreo.testing.simulation.fences import fenced
from choreo.testing.simulation.history import History, Invariant, difference
from choreo.testing.simulation.invariants import BUILT_IN, violations
from choreo.testing.simulation.report import Finding, Report
from choreo.testing.simulation.shrink import shrunk
from choreo.testing.simulation.weather import Climate, Weather
from choreo.testing.simulation.world import Scenario, World

Services = Sequence[Service[Any]] | Callable[[], Sequence[Service[Any]]]
"""The services, or what makes them anew for each seed, with whatever they hold of the outside."""
FULL_COLLECTION = 40
"""Runs after which all garbage is collected, and not only the youngest."""
UNLIKE = "something reads the time, or draws, from what is not the seed's, or lives on between runs"
"""Why one seed may not be the same twice."""
NOWHERE = Path("no schemas")
"""Where no contracts are: who writes JSON and reads nothing needs none."""


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
        self._client: Service[Any] = Service("scenario", broker=URL)
        outside = self._client.settings(telemetry=False)
        if outside.codec == "json":
            outside = outside.model_copy(update={"schemas": NOWHERE})
        self._outside = outside
        self._count = len(self._made())
        self._runs = 0
        self._compared = False
        self.events = 0
        """Events that the scenario published in the last world, or would have."""
        self.steps = 0
        """Callbacks that ran in the last world."""

    def weather(self, seed: int) -> Weather:
        """Draw what *seed* has in store."""
        return self._climate.draw(Random(f"{seed} weather"), self._count)

    def run(
        self, seed: int, weather: Weather | None = None, without: frozenset[int] = frozenset()
    ) -> History:
        """Live through one seed: the same seed gives the same history, bit for bit."""
        return self._run(seed, weather, without, thoroughly=True)

    def tidy(self) -> None:
        """Collect in silence what the worlds of ``tried`` have left behind."""
        with _undisturbed(thoroughly=True):
            self._runs = 0

    def judge(self, history: History) -> list[str]:
        """List what is wrong with *history*."""
        return violations(history, self._invariants)

    def tried(self, case: Case, report: Report) -> Finding | None:
        """Run *case*, count what it shows in *report*, and shrink it if its history is wrong."""
        history = self._run(case.seed, case.weather, case.without)
        report.steps += self.steps
        for entry in history:
            name = f"{entry.kind} {entry.text}" if entry.kind == "ended" else entry.kind
            report.entries[name] = report.entries.get(name, 0) + 1
        wrong = self.judge(history)
        finding = self._shrunk(case, history, wrong) if wrong else self._again(case, history)
        if finding is not None:
            report.findings.append(finding)
        return finding

    def _again(self, case: Case, history: History) -> Finding | None:
        """Run the first world in which a handler was called a second time: it must be the same."""
        if self._compared or not any(history.of("began")):
            return None
        self._compared = True
        other = self._run(case.seed, case.weather, case.without)
        if history.digest == other.digest:
            return None
        return self._unlike(case, history, [f"same_twice: {difference(history, other)}: {UNLIKE}"])

    def _unlike(self, case: Case, history: History, wrong: Sequence[str]) -> Finding:
        """Tell what no other run shows: there is nothing to shrink."""
        return Finding(
            seed=case.seed,
            violations=wrong,
            weather=case.weather or self.weather(case.seed),
            without=case.without,
            history=history,
        )

    def _shrunk(self, case: Case, before: History, told: Sequence[str]) -> Finding:
        """Find out how little of *case* still breaks the first of the invariants that it broke."""
        events, kind = self.events, told[0].partition(":")[0]

        def fails(weather: Weather, without: frozenset[int]) -> bool:
            found = self.judge(self._run(case.seed, weather, without))
            return any(text.startswith(f"{kind}:") for text in found)

        weather = case.weather or self.weather(case.seed)
        weather, without, tries = shrunk(weather, events, case.without, fails)
        history = self.run(case.seed, weather, without)
        wrong = self.judge(history)
        if not wrong:
            more = f"same_twice: {kind} was broken once and not again: {UNLIKE}"
            return self._unlike(case, before, [*told, more])
        return Finding(
            seed=case.seed,
            violations=wrong,
            weather=weather,
            without=without,
            history=history,
            tries=tries,
        )

    def _run(
        self,
        seed: int,
        weather: Weather | None,
        without: frozenset[int],
        *,
        thoroughly: bool = False,
    ) -> History:
        self._runs += 1
        with _undisturbed(thoroughly=thoroughly or self._runs % FULL_COLLECTION == 0):
            return self._lived(seed, weather or self.weather(seed), without)

    def _lived(self, seed: int, weather: Weather, without: frozenset[int]) -> History:
        """Make a world and live through it; on return nobody has it any more."""
        services = [(service, self._settings_of(service)) for service in self._made()]
        client = (copy(self._client), self._outside)
        world = World(seed, weather, services, client, without=without)
        with fenced(seed):
            history = world.run(self._scenario)
        self.events, self.steps = world.count, world.loop.steps
        return history

    def _made(self) -> Sequence[Service[Any]]:
        return self._services() if callable(self._services) else self._services

    def _settings_of(self, service: Service[Any]) -> Settings:
        if service.name not in self._settings:
            self._settings[service.name] = service.settings(
                broker=URL, telemetry=False, create_topics=True
            )
        return self._settings[service.name]


@contextmanager
def _undisturbed(*, thoroughly: bool) -> Generator[None]:
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
            gc.collect(2 if thoroughly else 0)
    finally:
        sys.unraisablehook = complain
        logging.disable(level)
        if collecting:
            gc.enable()


def _say_nothing(_: object) -> None:
    return

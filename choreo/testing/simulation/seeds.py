"""Seeds, one after the other or over several processes, until one shows something wrong."""

import os
import pickle
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from time import perf_counter
from typing import Protocol

from choreo.errors import ConfigurationError
from choreo.testing.simulation.case import Case
from choreo.testing.simulation.history import Invariant
from choreo.testing.simulation.report import Report, SimulationFailed
from choreo.testing.simulation.simulation import Services, Simulation
from choreo.testing.simulation.weather import Climate
from choreo.testing.simulation.world import Scenario

CHUNK = 20
"""Seeds that a process is given at a time."""
Told = Callable[[Report], None]
"""Hears how far it is."""


class Source(Hashable, Protocol):
    """What makes a simulation, here or in another process: it can be pickled, too."""

    def __call__(self) -> Simulation:
        """Make it."""
        ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """A simulation of what was given: another process can have it if all of it has a name."""

    services: Services
    scenario: Scenario
    invariants: tuple[Invariant, ...] = ()
    climate: Climate | None = None

    def __call__(self) -> Simulation:
        """Make it."""
        return Simulation(
            self.services, self.scenario, invariants=self.invariants, climate=self.climate
        )


def simulate(
    services: Services,
    scenario: Scenario,
    *,
    seeds: Iterable[int | Case] = range(100),
    invariants: Sequence[Invariant] = (),
    climate: Climate | None = None,
    jobs: int = 1,
    told: Told | None = None,
) -> Report:
    """Run *scenario* against *services* under each seed; raise SimulationFailed at the first wrong.

    Every seed is a world of its own, with other faults and another order of things; a case of a
    corpus is given as one. With more than one of *jobs*, that many processes share the seeds:
    services, scenario and invariants are then functions of a module that those can import. *told*
    hears how far it is.
    """
    source = Recipe(services, scenario, tuple(invariants), climate)
    cases = [one if isinstance(one, Case) else Case(one) for one in seeds]
    report = tried(source, cases, jobs=jobs, told=told)
    if report.findings:
        raise SimulationFailed(report.findings[0])
    return report


def tried(
    source: Source,
    cases: Sequence[Case],
    *,
    corpus: int = 0,
    jobs: int = 1,
    told: Told | None = None,
) -> Report:
    """Run *cases*, the first of them from a corpus, up to the first that shows something wrong."""
    began, ran = perf_counter(), 0
    report = Report()
    chunks = [cases[start : start + CHUNK] for start in range(0, len(cases), CHUNK)]
    for done in (
        _shared(source, chunks, jobs) if min(jobs, len(chunks)) > 1 else _one_by_one(source, chunks)
    ):
        ran += done.seeds
        report.add(done)
        report.seconds = perf_counter() - began
        report.corpus = min(corpus, ran)
        report.seeds = ran - report.corpus
        if told is not None:
            told(report)
        if report.findings:
            break
    return report


def _one_by_one(source: Source, chunks: Iterable[Sequence[Case]]) -> Iterator[Report]:
    simulation = source()
    for chunk in chunks:
        yield _chunk(simulation, chunk)


def _shared(source: Source, chunks: Sequence[Sequence[Case]], jobs: int) -> Iterator[Report]:
    """Have processes of their own run *chunks*; leaving ends those that have not begun."""
    _check(source)
    # Neither threads nor locks of this process are to be in the others: they begin from nothing.
    number = min(jobs, len(chunks))
    with ProcessPoolExecutor(number, get_context("spawn"), _end_with_parent) as pool:
        waiting = [pool.submit(_chunk_of, source, chunk) for chunk in chunks]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            for one in waiting:
                one.cancel()


def _end_with_parent() -> None:
    """Have this process end as soon as the one that it works for has died, however that was."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_outlive, args=(parent.sentinel,), name="parent", daemon=True).start()


def _outlive(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _check(source: Source) -> None:
    try:
        pickle.dumps(source)
        hash(source)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"several processes cannot share this simulation ({error}): give services, scenario "
            "and invariants as functions of a module, or run it with jobs=1"
        ) from error


def _chunk_of(source: Source, chunk: Sequence[Case]) -> Report:
    return _chunk(_made(source), chunk)


@lru_cache(maxsize=1)
def _made(source: Source) -> Simulation:
    """Make what this process runs: once, however many chunks it is given."""
    return source()


def _chunk(simulation: Simulation, chunk: Sequence[Case]) -> Report:
    report = Report()
    for case in chunk:
        report.seeds += 1
        if simulation.tried(case, report) is not None:
            break
    simulation.tidy()
    return report

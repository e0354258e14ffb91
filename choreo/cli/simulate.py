"""``choreo simulate``: run a scenario under many seeds, or one seed under a magnifying glass."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from choreo.cli import target
from choreo.cli.exit_codes import ExitCode
from choreo.cli.screen import err, print_json, print_line
from choreo.errors import ConfigurationError
from choreo.testing.simulation import (
    Finding,
    Invariant,
    Report,
    Scenario,
    Simulation,
    SimulationFailed,
    simulate,
)
from choreo.testing.simulation.simulation import Services, tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for."""

    target: str
    seeds: int
    first: int
    seed: int | None
    trace: bool
    json: bool


def run(request: Request) -> ExitCode:
    """Simulate and print; FAILED if some history is wrong."""
    services, scenario, invariants = _imported(request.target)
    simulation = Simulation(services, scenario, invariants=invariants)
    if request.seed is not None:
        return _one(simulation, request.seed, request)
    seeds = range(request.first, request.first + request.seeds)
    report = Report()
    try:
        with _progress(request.seeds) as advance:
            report = simulate(services, scenario, seeds=seeds, invariants=invariants, told=advance)
    except SimulationFailed as failed:
        _show(failed.finding, json=request.json)
        return ExitCode.FAILED
    if request.json:
        told = {"seeds": report.seeds, "failed": 0, "rate": round(report.rate, 1)}
        print_json({**told, "seen": report.entries})
    else:
        print_line(str(report))
    return ExitCode.OK


def _one(simulation: Simulation, seed: int, request: Request) -> ExitCode:
    if request.trace:
        for entry in simulation.run(seed):
            print_line(str(entry))
    report = Report()
    finding = tried(simulation, seed, report)
    if finding is not None:
        _show(finding, json=request.json)
        return ExitCode.FAILED
    troubles = simulation.weather(seed).troubles
    if request.json:
        print_json({"seed": seed, "failed": 0, "troubles": troubles})
    else:
        print_line(f"seed {seed} shows nothing wrong, with {', '.join(troubles) or 'no faults'}")
    return ExitCode.OK


def _show(finding: Finding, *, json: bool) -> None:
    if json:
        told = {"seed": finding.seed, "violations": list(finding.violations)}
        print_json({**told, "troubles": finding.weather.troubles, "tries": finding.tries})
    else:
        print_line(str(finding))


def _imported(name: str) -> tuple[Services, Scenario, Sequence[Invariant]]:
    """Import a scenario, and what its module names ``services`` and ``invariants``."""
    scenario = target.imported(name, object)
    if not callable(scenario):
        raise ConfigurationError(f"{name} is no scenario: name an async function of a World")
    module = name.partition(":")[0]
    services = target.imported(f"{module}:services", object)
    try:
        invariants = target.imported(f"{module}:invariants", object)
    except ConfigurationError:
        invariants = ()
    return (
        cast("Services", services),
        cast("Scenario", scenario),
        cast("Sequence[Invariant]", invariants),
    )


@contextmanager
def _progress(total: int) -> Generator[Callable[[Report], None]]:
    """Show a bar on a terminal while the block runs."""
    console = err()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("simulating", total=total)

        def advance(report: Report) -> None:
            told = f"simulating, {report.rate:.0f} seeds/s"
            progress.update(task, completed=report.seeds, description=told)

        yield advance

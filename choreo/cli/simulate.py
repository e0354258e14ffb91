"""``choreo simulate``: run scenarios under many seeds, or one seed under a magnifying glass."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from choreo.cli import target
from choreo.cli.exit_codes import ExitCode
from choreo.cli.screen import err, print_json, print_line
from choreo.errors import ConfigurationError
from choreo.testing.simulation import (
    Case,
    Climate,
    Corpus,
    Finding,
    Invariant,
    Report,
    Scenario,
    Simulation,
)
from choreo.testing.simulation.seeds import tried
from choreo.testing.simulation.simulation import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for."""

    targets: Sequence[str]
    seeds: int
    first: int
    seed: int | None
    trace: bool
    json: bool
    jobs: int
    corpus: Path | None


@dataclass(frozen=True, slots=True)
class Named:
    """A simulation by the name of its scenario: what any process can make for itself."""

    target: str

    def __call__(self) -> Simulation:
        """Import what it is made of; raise ConfigurationError for what is no such thing."""
        scenario = target.imported(self.target, object)
        if not callable(scenario):
            raise ConfigurationError(
                f"{self.target} is no scenario: name an async function of a World"
            )
        module = self.target.partition(":")[0]
        return Simulation(
            cast("Services", target.imported(f"{module}:services", object)),
            cast("Scenario", scenario),
            invariants=cast("Sequence[Invariant]", _optional(module, "invariants", ())),
            climate=cast("Climate | None", _optional(module, "climate", None)),
        )


def run(request: Request) -> ExitCode:
    """Simulate and print; FAILED if some history is wrong."""
    sources = [Named(name) for name in request.targets]
    simulations = [source() for source in sources]  # which tells what is wrong with a name
    if request.seed is not None:
        codes = [_one(simulation, request.seed, request) for simulation in simulations]
        return max(codes)
    corpus = None if request.corpus is None else Corpus(request.corpus)
    whole = Report()
    seeds = range(request.first, request.first + request.seeds)
    with _progress(request.seeds) as advance:
        for number, source in enumerate(sources):
            cases = corpus.cases(source.target) if corpus is not None else ()
            report = tried(
                source,
                [*cases, *(Case(seed) for seed in seeds[number :: len(sources)])],
                corpus=len(cases),
                jobs=request.jobs,
                told=lambda report: advance(whole, report),
            )
            whole.add(report)
            whole.seconds += report.seconds
            for finding in report.findings:
                if corpus is not None:
                    corpus.add(source.target, finding)
                _show(source.target, finding, json=request.json)
                return ExitCode.FAILED
    if request.json:
        told = {"seeds": whole.seeds, "failed": 0, "rate": round(whole.rate, 1)}
        print_json({**told, "corpus": whole.corpus, "seen": whole.entries})
    else:
        print_line(str(whole))
    return ExitCode.OK


def _one(simulation: Simulation, seed: int, request: Request) -> ExitCode:
    name = " ".join(request.targets)
    if request.trace:
        for entry in simulation.run(seed):
            print_line(str(entry))
    finding = simulation.tried(Case(seed), Report())
    if finding is not None:
        _show(name, finding, json=request.json)
        return ExitCode.FAILED
    troubles = simulation.weather(seed).troubles
    if request.json:
        print_json({"seed": seed, "failed": 0, "troubles": troubles})
    else:
        print_line(f"seed {seed} shows nothing wrong, with {', '.join(troubles) or 'no faults'}")
    return ExitCode.OK


def _show(name: str, finding: Finding, *, json: bool) -> None:
    if json:
        told = {"seed": finding.seed, "violations": list(finding.violations)}
        print_json({**told, "troubles": finding.weather.troubles, "tries": finding.tries})
    else:
        for line in str(finding).splitlines():
            print_line(line)
        print_line(f"again: choreo simulate {name} --seed {finding.seed} --trace")


def _optional(module: str, name: str, otherwise: object) -> object:
    """Import what a module need not have."""
    try:
        return target.imported(f"{module}:{name}", object)
    except ConfigurationError:
        return otherwise


@contextmanager
def _progress(total: int) -> Generator[Callable[[Report, Report], None]]:
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

        def advance(whole: Report, report: Report) -> None:
            told = f"simulating, {report.rate:.0f} seeds/s"
            progress.update(task, completed=whole.seeds + report.seeds, description=told)

        yield advance

"""What a simulation tells: of one seed that shows something wrong, and of all that ran."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from choreo.testing.simulation.history import History
from choreo.testing.simulation.weather import Weather


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
        words = {word.strip(",.:").removeprefix("id=") for word in first.split()}
        troubles = self.weather.troubles or ["none: the order in which things run is enough"]
        takes = f"it takes these faults ({self.tries} runs, {len(self.without)} events left out):"
        lines = [
            f"seed {self.seed}: {first}",
            *(f"  and {text}" for text in self.violations[1:4]),
            takes if self.tries else "it was not shrunk, as no other run need show it:",
            *(f"  {trouble}" for trouble in troubles),
            "what happened:",
            *(f"  {entry}" for entry in self.history.around(words)),
        ]
        return "\n".join(lines)


class SimulationFailed(AssertionError):
    """Some seed's history is wrong; the text tells which, and how little it takes."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


@dataclass(slots=True, kw_only=True)
class Report:
    """What a simulation has shown."""

    seeds: int = 0
    seconds: float = 0.0
    """That it took, on the clock on the wall."""
    steps: int = 0
    """Callbacks that ran."""
    corpus: int = 0
    """Cases that failed once, and ran before all seeds."""
    entries: dict[str, int] = field(default_factory=dict[str, int])
    """How often what kind of thing happened, in all histories: nothing seen is nothing shown."""
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def rate(self) -> float:
        """Worlds a second."""
        return (self.seeds + self.corpus) / self.seconds if self.seconds else 0.0

    def add(self, other: "Report") -> None:
        """Take in what *other* has shown, at the same time."""
        self.seeds += other.seeds
        self.corpus += other.corpus
        self.steps += other.steps
        self.findings += other.findings
        for name, count in other.entries.items():
            self.entries[name] = self.entries.get(name, 0) + count

    def __str__(self) -> str:
        """Tell it in one line."""
        first = f"{self.corpus} from the corpus, " if self.corpus else ""
        return (
            f"{first}{self.seeds} seeds, {len(self.findings)} failed, {self.rate:.1f} seeds/s, "
            f"{self.steps / max(self.seconds, 1e-9):,.0f} steps/s"
        )

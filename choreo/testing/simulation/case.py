"""What one world is made of, and the corpus: the worlds that showed something wrong once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from choreo.errors import ConfigurationError
from choreo.testing.simulation.report import Finding
from choreo.testing.simulation.weather import Weather


@dataclass(frozen=True, slots=True)
class Case:
    """A seed; or a seed with as little weather and as few events as once showed something."""

    seed: int
    weather: Weather | None = None
    """None: as the seed draws it."""
    without: frozenset[int] = frozenset()
    """Events of the scenario that are left out, by their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A line of a corpus."""

    scenario: str
    """As in ``module:scenario``."""
    seed: int
    weather: Weather
    without: tuple[int, ...] = ()
    violation: str = ""
    """What was wrong then."""


LINES = TypeAdapter(Kept)


class Corpus:
    """A file of cases, one a line, as JSON: kept with the code whose mistakes it remembers.

    Fixed mistakes come back by the ways they came; so that what failed once runs before all else.
    A case keeps its weather, not only its seed, as what a seed draws changes with the machinery.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def cases(self, scenario: str) -> Sequence[Case]:
        """List the cases of *scenario*; raise ConfigurationError for a line that is none."""
        return [
            Case(kept.seed, kept.weather, frozenset(kept.without))
            for kept in self._kept()
            if kept.scenario == scenario
        ]

    def add(self, scenario: str, finding: Finding) -> None:
        """Keep *finding* at the end of the file, unless it is there."""
        kept = Kept(
            scenario=scenario,
            seed=finding.seed,
            weather=finding.weather,
            without=tuple(sorted(finding.without)),
            violation=finding.violations[0],
        )
        if kept not in set(self._kept()):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(LINES.dump_json(kept, exclude_defaults=True) + b"\n")

    def _kept(self) -> Iterator[Kept]:
        if not self._path.exists():
            return
        text = self._path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                yield LINES.validate_json(line)
            except ValidationError as error:
                raise ConfigurationError(f"{self._path}:{number} is no case: {error}") from error

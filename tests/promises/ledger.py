"""What processes wrote while they were killed, and what it must and must not say."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from tests.patience import patient


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that one process did."""

    mark: str
    process: int
    track: str
    number: int
    time: float


class Ledger:
    """The file that all processes of one run append to."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.touch()

    def lines(self) -> list[Line]:
        """Read every whole line; the last one of a killed process may be cut off."""
        found: list[Line] = []
        for text in self.file.read_text().splitlines():
            parts = text.split()
            if len(parts) == 5:
                mark, process, track, number, time = parts
                found.append(Line(mark, int(process), track, int(number), float(time)))
        return found

    def ready(self, process: int) -> bool:
        """Say whether that process has come up."""
        return f"R {process} ".encode() in self.file.read_bytes()

    def ended_by(self, process: int) -> int:
        """Count the ends that one process wrote."""
        return self.file.read_bytes().count(f"E {process} ".encode())

    def ended(self) -> int:
        """Count the ends, repetitions included; cheap."""
        return self.file.read_bytes().count(b"E ")

    def distinct(self) -> int:
        """Count the steps that ended at least once."""
        return len({(line.track, line.number) for line in self.lines() if line.mark == "E"})

    async def until(self, reached: Callable[["Ledger"], bool], within: float) -> None:
        """Return once *reached* holds; raise TimeoutError with the counts after *within* s."""
        try:
            async with asyncio.timeout(patient(within)):
                while not reached(self):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(
                f"after {within} s: {self.ended()} ends, {self.distinct()} distinct"
            ) from None

    def missing(self, expected: dict[str, int]) -> list[tuple[str, int]]:
        """List the steps that never ended: lost."""
        ended = {(line.track, line.number) for line in self.lines() if line.mark == "E"}
        return [
            (track, number)
            for track, count in expected.items()
            for number in range(count)
            if (track, number) not in ended
        ]

    def inversions(self) -> list[Line]:
        """List the steps that began for the first time before all earlier ones had ended."""
        done: dict[str, set[int]] = defaultdict(set)
        begun: set[tuple[str, int]] = set()
        wrong: list[Line] = []
        for line in self.lines():
            if line.mark == "B" and (line.track, line.number) not in begun:
                begun.add((line.track, line.number))
                if len(done[line.track]) < line.number or not done[line.track].issuperset(
                    range(line.number)
                ):
                    wrong.append(line)
            elif line.mark == "E":
                done[line.track].add(line.number)
        return wrong

    def overlaps(self, killed: set[int]) -> list[Line]:
        """List the steps that began while another of their track ran in a process that lives."""
        running: dict[str, Line] = {}
        wrong: list[Line] = []
        for line in self.lines():
            if line.mark == "B":
                other = running.get(line.track)
                if other is not None and other.process not in killed:
                    wrong.append(line)
                running[line.track] = line
            elif line.mark == "E" and running.get(line.track, line).number == line.number:
                running.pop(line.track, None)
        return wrong

    def repeated(self) -> dict[tuple[str, int], list[Line]]:
        """Give the ends of every step that ended more than once."""
        ends: dict[tuple[str, int], list[Line]] = defaultdict(list)
        for line in self.lines():
            if line.mark == "E":
                ends[line.track, line.number].append(line)
        return {step: lines for step, lines in ends.items() if len(lines) > 1}

    def uncommitted(self, killed: Collection[int]) -> dict[int, list[float]]:
        """Give, for each killed process, the ages of what it had ended and another ended again.

        The age is seconds from the step's end to the last line that the process wrote.
        """
        lasts = {line.process: line.time for line in self.lines() if line.process in killed}
        ages: dict[int, list[float]] = {process: [] for process in killed}
        for ends in self.repeated().values():
            for line in ends[:-1]:
                if line.process in ages:
                    ages[line.process].append(lasts[line.process] - line.time)
        return ages

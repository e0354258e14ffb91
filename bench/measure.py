"""One measure: choreo and a peer take turns, and the ratio of each round is kept."""

import asyncio
import gc
import json
import statistics
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from time import perf_counter, process_time
from typing import Literal

from choreo.cli.collector import OLDER, YOUNG

RUN_SECONDS = 60.0
"""Time after which a run is given up: a peer was seen to sit idle in its stop for ever."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run took for its events, all of which came, in order."""

    events: int
    seconds: float
    cpu: float
    """Seconds of processor time of this process: all its threads, without the broker's."""

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds of processor time per event."""
        return self.cpu / self.events * 1e6


Run = Callable[[], Awaitable[Taken]]


class Stopwatch:
    """Takes wall time and processor time from its first ``begin`` on."""

    def __init__(self) -> None:
        self._wall = self._cpu = 0.0

    def begin(self) -> None:
        """Begin, unless it has begun; for both the collector is set as by ``choreo run``."""
        if not self._wall:
            gc.freeze()
            gc.set_threshold(YOUNG, OLDER, OLDER)
            self._wall, self._cpu = perf_counter(), process_time()

    def took(self, events: int) -> Taken:
        """Tell what *events* took since then."""
        return Taken(events, perf_counter() - self._wall, process_time() - self._cpu)


Unit = Literal["events/s", "µs CPU"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one measure found: medians, and the lowest and highest ratio of a round.

    Above 1 choreo is the better: more events a second, or fewer microseconds.
    """

    name: str
    ratio: float
    low: float
    high: float
    choreo: float
    peer: float
    unit: str
    runs: int
    cpu: tuple[float, float] | None = None
    """Microseconds of processor time per event, choreo's and the peer's."""

    def line(self) -> str:
        """Write it as one JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)


def unwatched(_: str) -> AbstractContextManager[None]:
    """Look at nothing."""
    return nullcontext()


watching: Callable[[str], AbstractContextManager[None]] = unwatched
"""What choreo's part of a measure runs in, by the measure's name."""


async def side_by_side(
    name: str, choreo: Run, peer: Run, *, runs: int, unit: Unit = "events/s"
) -> Result:
    """Let both run in turn, *runs* times after one round that warms up.

    What only computes is judged by processor time, which what else runs here hardly changes.
    """

    async def watched() -> Taken:
        with watching(name):
            return await choreo()

    pairs: list[tuple[Taken, Taken]] = []
    for number in range(runs + 1):
        if number % 2:
            ours, theirs = await _bounded(watched), await _bounded(peer)
        else:
            theirs, ours = await _bounded(peer), await _bounded(watched)
        if number:
            pairs.append((ours, theirs))
    return of_rounds(name, pairs, unit=unit)


def of_rounds(name: str, pairs: Sequence[tuple[Taken, Taken]], *, unit: Unit) -> Result:
    """Make a result of what choreo and its peer took in each round."""
    by_time = unit == "events/s"
    values = [(a.rate, b.rate) if by_time else (a.cost, b.cost) for a, b in pairs]
    cpu = (_median([a.cost for a, _ in pairs]), _median([b.cost for _, b in pairs]))
    return compared(name, values, unit=unit, better="more" if by_time else "less", cpu=cpu)


def compared(
    name: str,
    pairs: list[tuple[float, float]],
    *,
    unit: str,
    better: Literal["more", "less"],
    cpu: tuple[float, float] | None = None,
) -> Result:
    """Make a result of what choreo and its peer reached in each round."""
    ratios = [a / b if better == "more" else b / a for a, b in pairs]
    return Result(
        name=name,
        ratio=round(statistics.median(ratios), 3),
        low=round(min(ratios), 3),
        high=round(max(ratios), 3),
        choreo=_median([a for a, _ in pairs]),
        peer=_median([b for _, b in pairs]),
        unit=unit,
        runs=len(pairs),
        cpu=cpu,
    )


async def _bounded(run: Run) -> Taken:
    gc.unfreeze()
    gc.collect()
    async with asyncio.timeout(RUN_SECONDS):
        return await run()


def _median(values: list[float]) -> float:
    found = statistics.median(values)
    return round(found) if found >= 1_000 else round(found, 2)

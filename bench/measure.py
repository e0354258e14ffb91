"""One measure: choreo and a peer take turns, and the ratio of each round is kept."""

import json
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

Run = Callable[[], Awaitable[float]]
"""One run; returns events per second, having checked that all of them came, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one measure printed: medians, and the lowest and highest ratio of a round."""

    name: str
    ratio: float
    low: float
    high: float
    choreo: float
    peer: float
    unit: str
    runs: int

    def line(self) -> str:
        """Write it as one JSON object."""
        return json.dumps(asdict(self))


async def side_by_side(name: str, choreo: Run, peer: Run, *, runs: int) -> Result:
    """Let both run in turn, *runs* times after one round that warms up."""
    pairs: list[tuple[float, float]] = []
    for number in range(runs + 1):
        if number % 2:
            ours, theirs = await choreo(), await peer()
        else:
            theirs, ours = await peer(), await choreo()
        if number:
            pairs.append((ours, theirs))
    ratios = [ours / theirs for ours, theirs in pairs]
    return Result(
        name=name,
        ratio=round(statistics.median(ratios), 3),
        low=round(min(ratios), 3),
        high=round(max(ratios), 3),
        choreo=round(statistics.median(ours for ours, _ in pairs)),
        peer=round(statistics.median(theirs for _, theirs in pairs)),
        unit="events/s",
        runs=runs,
    )

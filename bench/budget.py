"""What a measure is: a name, a peer, what it needs, and the ratio that it must reach."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.measure import Result

Needs = Literal["nothing", "postgresql", "mqtt", "kafka"]
Run = Callable[[int, str], Awaitable[Sequence[Result]]]
"""Given rounds, and the address of what it needs; what it finds may be of several measures."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure; *budget* is the ratio below which choreo is too slow, None if none is set."""

    name: str
    what: str
    budget: float | None
    run: Run
    """The same object for all measures that it makes."""
    needs: Needs = "nothing"


def missed(measure: Measure, result: Result) -> bool:
    """Say whether choreo is slower than its budget allows."""
    return measure.budget is not None and result.ratio < measure.budget


def each_of(
    wanted: Sequence[Measure], runs: int, address: str
) -> Generator[tuple[Measure, Result]]:
    """Run measures whose part is there, those that are made together once, and print each."""
    found: dict[str, Result] = {}
    for measure in wanted:
        if measure.name not in found:
            results = asyncio.run(_found(measure, runs, address))
            found.update((result.name, result) for result in results)
        print(found[measure.name].line(), flush=True)
        yield measure, found[measure.name]


async def _found(measure: Measure, runs: int, address: str) -> Sequence[Result]:
    return await measure.run(runs, address)

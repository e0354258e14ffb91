"""How little of a seed's weather, and how few of its events, still show what is wrong.

Delta debugging after Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"
(TSE 2002), with chunks that halve: whole rates first, then single faults and traps, then events.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TypeVar

from choreo.testing.simulation.weather import Rates, Weather

T = TypeVar("T")
Fails = Callable[[Weather, frozenset[int]], bool]
"""Says whether a run under this weather, without these events, still shows it."""

ROUNDS = 2
"""How often all of it is gone through: with fewer events, fewer faults may do."""
BUDGET = 300
"""Runs that shrinking may take."""


def shrunk(
    weather: Weather, events: int, without: frozenset[int], fails: Fails
) -> tuple[Weather, frozenset[int], int]:
    """Return a weather and events to leave out that still fail, and the number of runs it took.

    The events of *without* are left out already.
    """
    tries = 0

    def still(weather: Weather, without: frozenset[int]) -> bool:
        nonlocal tries
        tries += 1
        return tries <= BUDGET and fails(weather, without)

    for _ in range(ROUNDS):
        weather = _calmer(weather, without, still)
        without = _rarer(weather, events, without, still)
    return weather, without, min(tries, BUDGET)


def _calmer(weather: Weather, without: frozenset[int], fails: Fails) -> Weather:
    for smaller in _plainer(weather):
        plainer = smaller(weather)
        if plainer != weather and fails(plainer, without):
            weather = plainer
    faults = _fewer(
        weather.faults, lambda kept: fails(replace(weather, faults=tuple(kept)), without)
    )
    weather = replace(weather, faults=tuple(faults))
    traps = _fewer(weather.traps, lambda kept: fails(replace(weather, traps=tuple(kept)), without))
    return replace(weather, traps=tuple(traps))


def _rarer(weather: Weather, events: int, without: frozenset[int], fails: Fails) -> frozenset[int]:
    numbers = frozenset(range(events))
    kept = _fewer(sorted(numbers - without), lambda kept: fails(weather, numbers - {*kept}))
    return numbers - {*kept}


def _plainer(weather: Weather) -> list[Callable[[Weather], Weather]]:
    """List what may be left out of *weather* at once, the most first."""

    def without(name: str) -> Callable[[Weather], Weather]:
        return lambda weather: replace(weather, rates=replace(weather.rates, **{name: 0.0}))

    return [
        lambda weather: replace(weather, rates=Rates()),
        lambda weather: replace(weather, faults=()),
        lambda weather: replace(weather, traps=()),
        *(without(one.name) for one in fields(weather.rates) if getattr(weather.rates, one.name)),
        lambda weather: replace(weather, queue=1_000),
        lambda weather: replace(weather, window=20),
        lambda weather: replace(weather, processes=1),
        lambda weather: replace(weather, partitions=1),
        lambda weather: replace(weather, shuffled=False),
    ]


def _fewer(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Leave out ever smaller chunks of *items* as long as what is kept fails."""
    kept = list(items)
    size = len(kept)
    while size:
        start = 0
        while start < len(kept):
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept = rest
            else:
                start += size
        size //= 2
    return kept

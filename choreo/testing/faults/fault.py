"""What every fault is: it begins, it ends, and what it ends with is the proof that it bit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol


class Fault(Protocol):
    """Something that goes wrong for a while."""

    @property
    def name(self) -> str:
        """Name it, and what it strikes."""
        ...

    async def begin(self) -> None:
        """Let it happen."""
        ...

    async def end(self) -> str:
        """Heal it, and return the proof that it bit; empty if it did not."""
        ...


class DidNotBite(AssertionError):
    """A fault had no effect, so that whatever held shows nothing: the run is void."""


async def struck(fault: Fault, seconds: float) -> str:
    """Let *fault* last for *seconds*, heal it, and return its proof; raise DidNotBite without one.

    It is healed even if the wait is cancelled.
    """
    await fault.begin()
    proof = ""
    try:
        await asyncio.sleep(seconds)
    finally:
        proof = await fault.end()
    if not proof:
        raise DidNotBite(f"{fault.name} had no effect: what held shows nothing")
    return proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """A fault of your own: a lock that is held, a topic that is deleted, an access rule."""

    name: str
    beginning: Callable[[], Awaitable[object]]
    ending: Callable[[], Awaitable[str]]

    async def begin(self) -> None:
        """Do what was given."""
        await self.beginning()

    async def end(self) -> str:
        """Undo it, and return what proves it."""
        return await self.ending()


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault of a schedule."""

    at: float
    """Seconds from the beginning of the schedule."""
    number: int
    """Of the fault."""
    seconds: float


def schedule(seed: int, faults: int, *, blows: int, every: float, lasting: float) -> list[Blow]:
    """Draw *blows*: each of the *faults* as often as the others, in an order that *seed* draws.

    They follow one another: each lasts from half of *lasting* to all of it, and the next begins
    *every* seconds after it has ended, on the average.
    """
    dice = Random(seed)
    found: list[Blow] = []
    at, order = 0.0, list[int]()
    for _ in range(blows):
        if not order:
            order = list(range(faults))
            dice.shuffle(order)
        at += every * (0.5 + dice.random())
        seconds = lasting * (0.5 + dice.random() / 2)
        found.append(Blow(at, order.pop(), seconds))
        at += seconds
    return found


def written(faults: Sequence[Fault], blows: Sequence[Blow]) -> str:
    """Write a schedule down, a line a blow: keep it before anything happens, for who must know."""
    return "".join(
        f"{blow.at:.3f} {faults[blow.number].name} {blow.seconds:.3f}\n" for blow in blows
    )


async def driven(faults: Sequence[Fault], blows: Sequence[Blow]) -> list[str]:
    """Let all *blows* happen, and return their proofs; raise DidNotBite at the first without."""
    loop = asyncio.get_running_loop()
    begun, proofs = loop.time(), list[str]()
    for blow in blows:
        await asyncio.sleep(max(0.0, begun + blow.at - loop.time()))
        proof = await struck(faults[blow.number], blow.seconds)
        proofs.append(f"{faults[blow.number].name}: {proof}")
    return proofs

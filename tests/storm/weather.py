"""What goes wrong in a storm: how handlers behave, and a broker that refuses or does not answer."""

import asyncio
from collections.abc import Sequence
from random import Random

from choreo import Message, PublishError, Reject
from choreo.clock import Clock
from choreo_memory import MemoryBroker
from tests.storm.account import Run

KINDS = {
    "quick": 48,
    "slow": 14,
    "fails": 12,
    "exits": 3,
    "groups": 3,
    "hangs": 5,
    "stubborn": 3,
    "foreign": 3,
    "cancels itself": 3,
    "rejects": 3,
    "never": 3,
}
"""Weights of what a handler does with an event."""


class Gate:
    """Topics that are shut for now."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.shut: dict[str, str] = {}
        """How they are shut: refused, or unknown, in which case some are taken all the same."""

    def judge(self, messages: Sequence[Message]) -> tuple[list[Message], dict[str, dict[int, str]]]:
        """Tell what is taken, and what is said of the others."""
        said: dict[str, dict[int, str]] = {"refused": {}, "unknown": {}}
        taken: list[Message] = []
        for index, message in enumerate(messages):
            how = self.shut.get(message.topic)
            if how is not None:
                said[how][index] = "shut"
            if how is None or (how == "unknown" and self._random.random() < 0.5):
                taken.append(message)
        return taken, said


class StormyBroker(MemoryBroker):
    """A memory broker behind a gate."""

    def __init__(self, url: str, gate: Gate, clock: Clock) -> None:
        super().__init__(url, clock=clock)
        self._gate = gate

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Append what the gate lets through; raise PublishError for the rest."""
        taken, said = self._gate.judge(messages)
        await super().publish(taken)
        if said["refused"] or said["unknown"]:
            raise PublishError("the topic is shut", **said)


class Temper:
    """How handlers behave: the same for one seed, one handler and one event."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._seed = seed
        self._clock = clock
        self.healed = asyncio.Event()

    def kind(self, run: Run) -> str:
        """Say what the handler does with the event."""
        draw = Random(f"{self._seed}/{run.share}")
        return draw.choices(list(KINDS), weights=list(KINDS.values()))[0]

    async def act(self, run: Run, runs: int) -> None:
        """Do it, for the time number *runs*."""
        draw = Random(f"{self._seed}/{run.share}/{runs}")
        kind = self.kind(run)
        if kind == "never":
            raise OSError("never")
        if kind == "rejects":
            raise Reject("no")
        if not self.healed.is_set() and runs <= draw.choice((1, 1, 2)):
            await self._misbehave(kind, run)
        if kind == "slow":
            await self._clock.sleep(draw.random())
        for _ in range(draw.randrange(4)):
            await asyncio.sleep(0)

    async def _misbehave(self, kind: str, run: Run) -> None:
        match kind:
            case "fails":
                raise OSError("not now")
            case "exits":
                raise SystemExit(1)
            case "groups":
                raise BaseExceptionGroup("several", [SystemExit(1)])
            case "hangs":
                await asyncio.get_running_loop().create_future()
            case "foreign":
                gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                gone.cancel()
                await gone
            case "cancels itself":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            case "stubborn":
                await self._stay(run)
            case _:
                pass

    async def _stay(self, run: Run) -> None:
        while not self.healed.is_set():
            try:
                await self.healed.wait()
            except asyncio.CancelledError:
                run.stubborn = True  # past its deadline, or its service's end

"""The processes of a test: made by a nursery, watched, stopped by their ids, none left over."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from dataclasses import Field, asdict
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from tests.patience import patient

ROOT = Path(__file__).parents[2]
LOOK = 0.05
START = 20.0
"""Seconds within which a child must exist."""
FREEZING = 10.0
"""Seconds within which a child must have obeyed SIGSTOP."""


class Order(Protocol):
    """A dataclass ``Task`` of the program that a child runs."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class Child:
    """One process of the program."""

    def __init__(self, log: Path, arrivals: Path) -> None:
        loop = asyncio.get_running_loop()
        self.pid = 0
        self.log = log
        self._arrivals = arrivals
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        """Its exit status; negative for a signal."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if not self.ended.done():
            with suppress(ProcessLookupError):  # it has ended, and we have yet to be told
                os.kill(self.pid, number)

    async def freeze(self) -> None:
        """Stop it, and return once all its threads stand still.

        A stop begins with the one thread that takes the signal: until that thread has its turn on a
        processor, the others go on, and may begin a transaction.
        """
        self.signal(signal.SIGSTOP)
        await self.until(lambda child: child.stopped, "frozen", FREEZING)

    @property
    def stopped(self) -> bool:
        """Say whether each of its threads stands still."""
        try:
            stats = [path.read_text() for path in Path(f"/proc/{self.pid}/task").glob("*/stat")]
        except OSError:  # of a thread that has ended meanwhile
            return False
        return {stat.rpartition(")")[2].split()[0] for stat in stats} == {"T"}

    async def until_ready(self, within: float) -> None:
        """Return once it handles events; raise RuntimeError with its log if it does not."""
        either: set[asyncio.Future[Any]] = {self.ready, self.ended}
        await asyncio.wait(either, timeout=patient(within), return_when=asyncio.FIRST_COMPLETED)
        if not self.ready.done():
            raise RuntimeError(f"process {self.pid} was not ready in {within} s\n{self.tail()}")

    async def end(self, within: float) -> int:
        """Return its exit status; raise RuntimeError with its log if it does not end."""
        await asyncio.wait({self.ended}, timeout=patient(within))
        if not self.ended.done():
            raise RuntimeError(f"process {self.pid} did not end in {within} s\n{self.tail()}")
        return self.ended.result()

    async def stop(self, within: float = 30.0) -> int:
        """Ask it to stop, and give its exit status."""
        self.signal(signal.SIGTERM)
        return await self.end(within)

    def arrivals(self, point: str) -> int:
        """Count how often it was at *point*."""
        return self._arrivals.read_text().count(f" {point} ") if self._arrivals.exists() else 0

    async def until(self, reached: Callable[["Child"], bool], what: str, within: float) -> None:
        """Return once *reached* holds; raise RuntimeError with its log if it does not."""
        try:
            async with asyncio.timeout(patient(within)):
                while not reached(self):
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            text = f"process {self.pid}: not {what} in {within} s\n{self.tail()}"
            raise RuntimeError(text) from None

    def tail(self) -> str:
        """Read what it wrote last."""
        return self.log.read_text(errors="replace")[-6_000:] if self.log.exists() else ""


class Nursery:
    """Makes children, all of which end with it."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._born: dict[str, asyncio.Future[int]] = {}
        self._children: dict[int, Child] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.crash.nursery"), cwd=ROOT, stdin=PIPE, stdout=PIPE
        )
        self._reader = asyncio.create_task(self._read(), name="nursery")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._reader is not None
        for child in self._children.values():
            child.signal(signal.SIGCONT)
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), patient(20))
        await self._reader

    async def child(self, task: Order, log: Path, arrivals: Path) -> Child:
        """Start a process for *task* that writes its log to *log*, and where it was."""
        assert self._process is not None
        assert self._process.stdin is not None
        name = f"{len(self._born)}"
        child = Child(log, arrivals)
        self._born[name] = asyncio.get_running_loop().create_future()
        program = type(task).__module__
        order = {**asdict(task), "program": program, "name": name, "log": str(log)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        child.pid = await asyncio.wait_for(self._born[name], patient(START))
        self._children[child.pid] = child
        return child

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            facts = json.loads(line)
            if "started" in facts:
                born = self._born[facts["started"]]
                if not born.done():  # nobody waits for it any more
                    born.set_result(facts["pid"])
                await asyncio.sleep(0)  # whoever waits for it must know it before it is told of
                continue
            child = self._children.get(facts.get("ready") or facts["ended"])
            if child is None:
                continue
            if "ready" in facts:
                child.ready.set_result(None)
            else:
                child.ended.set_result(facts["status"])

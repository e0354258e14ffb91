"""The processes of a run: two for each service where the broker shares, watched by their ids."""

import asyncio
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from choreo.testing.checker import Scribe
from tests.crash.processes import Child, Nursery
from tests.patience import patient
from tests.prove.worker import Task

READY = patient(120.0)
"""Seconds for a process to handle events."""
STOPS = patient(60.0)
"""Seconds for a process to stop in order, and twice that under faults."""


@dataclass(slots=True)
class Member:
    """One process over all of its lives."""

    task: Task
    child: Child | None = None
    life: int = 0

    @property
    def pid(self) -> int:
        """The id of its present life."""
        assert self.child is not None
        return self.child.pid

    @property
    def alive(self) -> bool:
        """Whether it lives."""
        return self.child is not None and not self.child.ended.done()


@dataclass(slots=True, kw_only=True)
class Crew:
    """All processes of a run, and what was done to them."""

    nursery: Nursery
    folder: Path
    scribe: Scribe
    """Writes down the driver's doings."""
    members: list[Member] = field(default_factory=list[Member])
    bad_ends: list[str] = field(default_factory=list[str])
    """Processes that ended in another way than they were made to."""

    def of(self, role: str) -> list[Member]:
        """Give the processes of one role."""
        return [member for member in self.members if member.task.role == role]

    async def start(self, *members: Member) -> None:
        """Begin new lives, and return once they handle events."""
        await asyncio.gather(*(self.begin(member) for member in members))
        for member in members:
            assert member.child is not None
            await member.child.until_ready(READY)

    async def begin(self, member: Member, environment: Mapping[str, str] | None = None) -> None:
        """Begin a new life, without waiting for what it does."""
        member.life += 1
        stem = self.folder / f"{member.task.proc}-{member.life}"
        history = str(stem.with_suffix(".jsonl"))
        given = dict(environment or {})
        task = replace(member.task, life=member.life, history=history, environment=given)
        arrivals = stem.with_suffix(".arrivals")
        member.child = await self.nursery.child(task, self.folder / f"{task.proc}.log", arrivals)
        self._tell("proc_start", member)

    async def kill(self, member: Member) -> bool:
        """Kill it with -9; say whether it was that which ended it."""
        assert member.child is not None
        if not member.alive:
            return False
        member.child.signal(signal.SIGKILL)
        status = await member.child.end(10)
        self._tell("proc_kill", member)
        return status == -signal.SIGKILL

    async def dies(self, member: Member, within: float) -> bool:
        """Wait for a process that is to kill itself; say whether it has."""
        assert member.child is not None
        await asyncio.wait({member.child.ended}, timeout=within)
        if member.alive:
            return False
        self._tell("proc_kill", member)
        return member.child.ended.result() == -signal.SIGKILL

    async def stop(self, member: Member, *, times: int = 1, within: float = STOPS) -> int:
        """Ask it to stop, *times* times; give its exit status."""
        assert member.child is not None
        for _ in range(times):
            member.child.signal(signal.SIGTERM)
            await asyncio.sleep(0.05)
        try:
            status = await member.child.end(within)
        except RuntimeError as error:
            self.bad_ends.append(str(error))
            await self.kill(member)
            return -signal.SIGKILL
        if status:
            self.bad_ends.append(f"{member.task.proc} ended with {status}\n{member.child.tail()}")
        self.scribe.write(
            "proc_stop",
            time.monotonic(),
            proc=member.task.proc,
            incarnation=member.life,
            result=str(status),
        )
        return status

    def histories(self) -> Iterator[Path]:
        """Give the files that the processes wrote."""
        yield from sorted(self.folder.glob("*.jsonl"))

    def _tell(self, kind: str, member: Member) -> None:
        self.scribe.write(
            kind,  # type: ignore[arg-type] # one of two
            time.monotonic(),
            proc=member.task.proc,
            incarnation=member.life,
            service=member.task.service,
        )

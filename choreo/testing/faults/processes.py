"""Processes that are killed, restarted, frozen, and that come and go."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Protocol

CLOSE_LOOKS = 0.1
"""Seconds between two looks at a process that should stand still."""


class Server(Protocol):
    """A process that can be ended and started again; calls may block, and run in threads."""

    @property
    def pid(self) -> int: ...

    @property
    def alive(self) -> bool: ...

    def start(self) -> None:
        """Start it, and return once it serves."""
        ...

    def kill(self) -> None:
        """End it with SIGKILL, and return once it is gone."""
        ...

    def terminate(self) -> None:
        """Ask it to end, and return once it is gone."""
        ...


class Killed:
    """``kill -9``, and a start when it is over: of a broker, a database, a service."""

    def __init__(self, server: Server, name: str = "kill -9") -> None:
        self.name = name
        self._server = server
        self._was = 0

    async def begin(self) -> None:
        """End it as a power cut would."""
        self._was = self._server.pid if self._server.alive else 0
        await asyncio.to_thread(self._server.kill)

    async def end(self) -> str:
        """Start it again."""
        gone = self._was and not self._server.alive
        await asyncio.to_thread(self._server.start)
        return f"{self._was} was killed, {self._server.pid} came" if gone else ""


class Terminated(Killed):
    """An orderly stop, and a start when it is over."""

    def __init__(self, server: Server, name: str = "SIGTERM") -> None:
        super().__init__(server, name)

    async def begin(self) -> None:
        """Ask it to end."""
        self._was = self._server.pid if self._server.alive else 0
        await asyncio.to_thread(self._server.terminate)


class Frozen:
    """SIGSTOP, and SIGCONT when it is over: a zombie that does not know what it has missed."""

    def __init__(self, server: Server, name: str = "SIGSTOP") -> None:
        self.name = name
        self._server = server
        self._watch: asyncio.Task[int] | None = None

    async def begin(self) -> None:
        """Stop it in its tracks, and look at it all the while."""
        os.kill(self._server.pid, signal.SIGSTOP)
        self._watch = asyncio.create_task(self._look(self._server.pid), name="watch a zombie")

    async def end(self) -> str:
        """Let it go on."""
        if self._watch is None:
            return ""
        moved = self._watch.done()
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch
        with suppress(ProcessLookupError):
            os.kill(self._server.pid, signal.SIGCONT)
        return "" if moved else f"{self._server.pid} stood still all the while"

    async def _look(self, pid: int) -> int:
        """Return once it moves: the kernel says T of one that is stopped."""
        await asyncio.sleep(CLOSE_LOOKS)  # a signal takes its time
        looks = 0
        while state(pid) == "T":
            looks += 1
            await asyncio.sleep(CLOSE_LOOKS)
        return looks


class Storm:
    """Members that leave and join, one every *every* seconds: groups never come to rest.

    *moved* counts what proves it, such as the times that streams were revoked; without it the
    members that left do.
    """

    def __init__(
        self,
        members: Sequence[Server],
        *,
        every: float = 0.5,
        seed: int = 0,
        moved: Callable[[], int] | None = None,
    ) -> None:
        self.name = "rebalance storm"
        self._members = members
        self._every = every
        self._dice = Random(seed)
        self._left = 0
        self._moved = moved or (lambda: self._left)
        self._before = 0
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Let them come and go from now on."""
        self._before = self._moved()
        self._over.clear()
        self._task = asyncio.create_task(self._toggle(), name="storm")

    async def end(self) -> str:
        """Have all of them there; who is on the way out or in is waited for first."""
        self._over.set()
        if self._task is not None:
            await self._task
        for member in self._members:
            if not member.alive:
                await asyncio.to_thread(member.start)
        moves = self._moved() - self._before
        return f"{self._left} left, {moves} moves" if moves > 0 else ""

    async def _toggle(self) -> None:
        while not self._over.is_set():
            member = self._dice.choice(self._members)
            if member.alive:
                self._left += 1
                await asyncio.to_thread(member.terminate)
            else:
                await asyncio.to_thread(member.start)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), self._every)


class Rolled:
    """A rolling restart: one after the other stops in order, starts, and *ready* says go on."""

    def __init__(self, servers: Sequence[Server], ready: Callable[[], None]) -> None:
        """Wait by *ready*, which blocks until the cluster is whole again."""
        self.name = "rolling restart"
        self._servers = servers
        self._ready = ready
        self._rolled: list[str] = []

    async def begin(self) -> None:
        """Go through all of them; this takes as long as it takes."""
        for server in self._servers:
            was = server.pid
            await asyncio.to_thread(server.terminate)
            if server.alive:
                return
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(self._ready)
            self._rolled.append(f"{was} → {server.pid}")

    async def end(self) -> str:
        """Tell who took whose place, if all were rolled."""
        whole = len(self._rolled) == len(self._servers)
        return ", ".join(self._rolled) if whole else ""


def state(pid: int) -> str:
    """Tell what the kernel says of a process: R, S, D, T for stopped, Z for dead; empty if gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""

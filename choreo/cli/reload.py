"""``--reload``: one child process, stopped in order and started anew when a source changes."""

import asyncio
import logging
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

# anyio's part of a union in its signature is not known to pyright:
from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType]

from choreo.cli.child import Command, alive, command, exit_code, stop
from choreo.cli.exit_codes import ExitCode
from choreo.cli.signals import Interruption

logger = logging.getLogger(__name__)

BUDGET = timedelta(seconds=60)
"""Time a child has to stop; its own settings are not known here and usually ask for less."""
ALSO_WATCHED = (".avsc", ".toml")
"""Contracts and settings, beside Python's sources."""


def reload(arguments: Sequence[str], folders: Sequence[Path]) -> int:
    """Run ``choreo run *arguments*`` anew after every change within *folders*; return its code."""
    with command(arguments) as child:
        return asyncio.run(Reloading(child, folders).run())


class Reloading:
    """One child and the folders that decide about it."""

    def __init__(self, child: Command, folders: Sequence[Path]) -> None:
        self._child = child
        self._folders = folders
        self._interruption = Interruption()
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._process: Process | None = None

    async def run(self) -> int:
        """Go on until a signal; return what the last child ended with."""
        self._interruption.listen(self._stopping.set, self._kill)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(), name="choreo watch")
            code = ExitCode.OK.value
            while not self._stopping.is_set():
                code = await self._round()
            return code

    async def _round(self) -> int:
        """Run one child until it is to be replaced or to stop."""
        self._changed.clear()
        process = self._process = await self._child.spawn()
        async with asyncio.TaskGroup() as group:
            noted = group.create_task(self._note_end(process))
            waits = {
                group.create_task(self._changed.wait()),
                group.create_task(self._stopping.wait()),
            }
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            noted.cancel()
            number = self._interruption.first or signal.SIGTERM
            return await stop(process, number, BUDGET)

    async def _watch(self) -> None:
        names = PythonFilter(extra_extensions=ALSO_WATCHED)
        changes = awatch(*self._folders, watch_filter=names, stop_event=self._stopping)
        async for change in changes:
            files = sorted({Path(path).name for _, path in change})
            logger.info("source changed, starting anew", extra={"files": files})
            self._changed.set()

    async def _note_end(self, process: Process) -> None:
        """Say so when the child ends by itself: it is not started again before a change."""
        code = exit_code(await process.wait())
        logger.warning("the services ended, waiting for a change", extra={"exit_code": code})

    def _kill(self) -> None:
        """Kill the child: the second signal has come."""
        if self._process is not None and alive(self._process):
            self._process.kill()

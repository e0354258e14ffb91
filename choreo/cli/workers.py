"""``--workers N``: several processes of one group, each started again when it dies."""

import asyncio
import logging
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from datetime import timedelta
from random import Random

from choreo.cli.child import Command, alive, command, exit_code, stop
from choreo.cli.description import Subject
from choreo.cli.exit_codes import SIGNALLED, ExitCode
from choreo.cli.signals import Interruption
from choreo.errors import ConfigurationError
from choreo.retry import Retry

logger = logging.getLogger(__name__)

RESTART = Retry(initial=timedelta(milliseconds=500), maximum=timedelta(seconds=30))
"""Pauses before a worker that died is started again."""
HEALTHY = 60.0
"""Seconds after which a worker's death is the first again, if it had reached its broker."""
FINAL = (ExitCode.USAGE, ExitCode.CONFIGURATION, ExitCode.HALTED)
"""Endings that another start would only repeat."""
BEYOND = timedelta(seconds=10)
"""Time beyond a worker's own budget before it is killed."""


def check(subjects: Sequence[Subject]) -> None:
    """Raise ConfigurationError unless several processes can share the work of each service."""
    for subject in subjects:
        capabilities = subject.broker.capabilities
        name, url = subject.service.name, subject.broker.url
        if capabilities.in_process:
            raise ConfigurationError(
                f"--workers: {url} lives inside one process, so each worker of {name} would have "
                "a broker of its own; run one process, or use a broker that is a server"
            )
        if not capabilities.groups:
            raise ConfigurationError(
                f"--workers: {url} has no consumer groups, so workers of {name} could not share "
                "its events; run one process and raise its concurrency"
            )


def supervise(arguments: Sequence[str], count: int, budget: timedelta) -> int:
    """Run *count* processes of ``choreo run *arguments*``; return the exit code for all.

    *budget* is how long a worker's own way of stopping may take.
    """
    with command(arguments) as child:
        return asyncio.run(Workers(child, count, budget + BEYOND).run())


def deaths_in_a_row(before: int, code: int, *, lived: float) -> int:
    """Count a death with exit code *code* after *lived* seconds.

    Who cannot reach the broker lives for all of its start timeout, and was not healthy.
    """
    healthy = lived > HEALTHY and code != ExitCode.UNREACHABLE
    return 1 if healthy else before + 1


class Workers:
    """The worker processes of one ``choreo run``."""

    def __init__(self, child: Command, count: int, budget: timedelta) -> None:
        self._child = child
        self._count = count
        self._budget = budget
        self._interruption = Interruption()
        self._stopping = asyncio.Event()
        self._running: dict[int, Process] = {}
        self._random = Random()
        self._final: int | None = None

    async def run(self) -> int:
        """Keep all workers running until a signal, or an ending that is final for all."""
        self._interruption.listen(self._stopping.set, self._kill)
        async with asyncio.TaskGroup() as group:
            numbers = range(1, self._count + 1)
            keepers = [
                group.create_task(self._keep(number), name=f"choreo worker {number}")
                for number in numbers
            ]
        codes = [keeper.result() for keeper in keepers]
        if self._final is not None:
            return self._final
        return next((code for code in codes if code), ExitCode.OK)

    async def _keep(self, number: int) -> int:
        """Run worker *number*, again and again; return the code it ended with when stopping."""
        deaths = 0
        while True:
            began = time.monotonic()
            process = await self._child.spawn()
            self._running[number] = process
            logger.info("worker started", extra={"worker": number, "pid": process.pid})
            code = await self._ended(process)
            del self._running[number]
            if self._stopping.is_set():
                logger.info("worker stopped", extra={"worker": number, "exit_code": code})
                return code
            if code in FINAL:
                self._final = code
                self._stopping.set()
                return code
            deaths = deaths_in_a_row(deaths, code, lived=time.monotonic() - began)
            if not await self._pause(number, code, deaths):
                return ExitCode.OK

    async def _ended(self, process: Process) -> int:
        """Wait for the end of *process*, hastened when all are to stop; return its exit code."""
        async with asyncio.TaskGroup() as group:
            end = group.create_task(process.wait())
            asked = group.create_task(self._stopping.wait())
            await asyncio.wait({end, asked}, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if end.done():
                return exit_code(end.result())
            number = self._interruption.first or signal.SIGTERM
            code = await stop(process, number, self._budget)
            # A worker that the signal itself ended had not begun: it was still starting.
            return ExitCode.OK if code == SIGNALLED + number else code

    async def _pause(self, number: int, code: int, deaths: int) -> bool:
        """Wait before worker *number* is started again; False if it is not to be."""
        delay = RESTART.backoff(deaths, self._random)
        logger.warning(
            "worker cannot reach its broker or store, starting another"
            if code == ExitCode.UNREACHABLE
            else "worker died, starting another",
            extra={"worker": number, "exit_code": code, "delay": round(delay, 3)},
        )
        try:
            async with asyncio.timeout(delay):
                await self._stopping.wait()
        except TimeoutError:
            return True
        return False

    def _kill(self) -> None:
        """Kill what still runs: the second signal has come."""
        for process in self._running.values():
            if alive(process):
                process.kill()

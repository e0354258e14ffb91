"""Child processes that run services: spawned, never forked, and never left behind.

Each child is given the reading end of a pipe whose other end only this process holds.  However this
process dies, the pipe closes and the children stop in order.  They are in process groups of their
own: Ctrl-C in a terminal reaches us alone and is passed on once, so that it never counts twice.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from choreo.cli.exit_codes import SIGNALLED


@dataclass(frozen=True, slots=True)
class Command:
    """How a child is started: arguments of ``choreo run``, and its end of the pipe."""

    arguments: Sequence[str]
    lifeline: int

    async def spawn(self) -> Process:
        """Start one child."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "choreo.cli",
            "run",
            "--lifeline",
            str(self.lifeline),
            *self.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(self.lifeline,),
            process_group=0,
        )


@contextmanager
def command(arguments: Sequence[str]) -> Generator[Command]:
    """Make a command whose children stop when this process, or the block, ends."""
    reading, writing = os.pipe()
    try:
        yield Command(arguments, reading)
    finally:
        os.close(writing)
        os.close(reading)


def alive(process: Process) -> bool:
    """Tell whether *process* has not been seen to end."""
    return process.returncode is None


def exit_code(status: int) -> int:
    """Translate what a process ended with: a signal's number comes as a negative status."""
    return SIGNALLED - status if status < 0 else status


async def stop(process: Process, number: signal.Signals, budget: timedelta) -> int:
    """Ask *process* to stop by signal *number*, kill it when *budget* is over; return its code."""
    if alive(process):
        process.send_signal(number)
    try:
        async with asyncio.timeout(budget.total_seconds()):
            return exit_code(await process.wait())
    except TimeoutError:
        process.kill()
        return exit_code(await process.wait())

"""See to it that whatever this process starts ends with it, even if it is killed with -9.

A warden is a process of its own that waits for the one it was made for to be gone, and then kills
every process that bears its mark: a word in the environment, which whoever is started inherits from
whoever started it, however many stand between.  So nothing has to be registered, neither a
postmaster's children nor a test's, and no number is taken for a process that has it no more.

    python -I -S warden.py PARENT MARK

It needs /proc; where there is none, processes are ended by their fixtures alone.
"""

import os
import select
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

MARKS = "CHOREO_TEST_WARDENS"
"""The variable that names all wardens of a process, the oldest first."""
LOOK = 0.2
"""Seconds between two looks whether the parent is there: a fork of it may hold the pipe open."""
AGAIN = 0.3
"""Seconds until a second look for what was just being started when the parent died."""
PROC = Path("/proc")


@cache
def guarded() -> str:
    """Have a warden end what this process starts from now on; return the mark it goes by.

    Only the first call of a process makes one.
    """
    mark = uuid.uuid4().hex
    os.environ[MARKS] = " ".join(filter(None, (os.environ.get(MARKS), mark)))
    if (PROC / "self" / "environ").exists():
        read, _held_open_for_life = os.pipe()
        parent = str(os.getpid())
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", __file__, parent, mark],
            {},  # bears no mark: it must outlive the warden of its parent's parent
            file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)],
            setsid=True,  # an interrupt or a kill of its parent's group is none of its own
        )
        os.close(read)
    return mark


def main(parent: int, mark: str) -> None:
    """Wait until the parent is gone, and end what bears the mark."""
    while os.getppid() == parent and not select.select([0], [], [], LOOK)[0]:
        pass
    for _ in range(2):
        while end_all(mark):
            pass
        time.sleep(AGAIN)
    end_all(mark)


def end_all(mark: str) -> int:
    """Kill every process that bears the mark; tell how many there were."""
    ended = 0
    for pid in running():
        with suppress(OSError):
            held = os.pidfd_open(pid)  # a process, while a number may be another's by now
            try:
                if bears(pid, mark):
                    signal.pidfd_send_signal(held, signal.SIGKILL)
                    ended += bool(select.select([held], [], [], 1.0)[0])
            finally:
                os.close(held)
    return ended


def bears(pid: int, mark: str) -> bool:
    """Tell whether a process, or who started it, was started under the mark."""
    marks = f"{MARKS}=".encode()
    for setting in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
        if setting.startswith(marks):
            return mark.encode() in setting.removeprefix(marks).split()
    return False


def running() -> Iterator[int]:
    """Go through the ids of all processes."""
    for name in os.listdir(PROC):  # noqa: PTH208 -- names, of which no paths are to be made
        if name.isdigit():
            yield int(name)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

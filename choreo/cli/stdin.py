"""Lines of stdin without blocking the loop: the broker's connection lives while nobody types."""

import asyncio
import os
import stat
import threading
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from choreo.cli.failure import InvalidInput

FD = 0
CHUNK = 256 * 1024
MAX_LINE = 16 * 1024 * 1024
"""Bytes of one line; what is longer is no event."""
AHEAD = 4
"""Batches read ahead of what is published."""


class Line(NamedTuple):
    """One line and its number, from 1."""

    number: int
    text: bytes


async def line_batches() -> AsyncGenerator[Sequence[Line]]:
    """Read all lines, in batches of what is there; raise InvalidInput for one too long.

    A daemon thread reads from the descriptor itself: a thread that waits in Python's buffered stdin
    would keep the process from ending after Ctrl-C.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue(AHEAD)

    def read() -> None:
        while True:
            chunk = os.read(FD, CHUNK)
            try:
                asyncio.run_coroutine_threadsafe(queue.put(chunk), loop).result()
            except RuntimeError:  # the loop is closed: nobody listens any more
                return
            if not chunk:
                return

    threading.Thread(target=read, name="choreo stdin", daemon=True).start()
    rest = b""
    number = 0
    while chunk := await queue.get():
        *texts, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE:
            raise InvalidInput(f"line {number + len(texts) + 1} is longer than {MAX_LINE} bytes")
        if texts:
            yield [Line(number + place, text) for place, text in enumerate(texts, 1)]
            number += len(texts)
    if rest:
        yield [Line(number + 1, rest)]


def size_of_stdin() -> int | None:
    """Tell how many bytes there are if stdin is a file."""
    status = os.fstat(FD)
    return status.st_size if stat.S_ISREG(status.st_mode) else None

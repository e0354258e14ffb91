"""A service of a world that dies and is started again, as often as its fate has it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from choreo.runner import Running

Begin = Callable[[Callable[[], None]], AbstractAsyncContextManager[Running]]
"""Starts one life, and tells when it ends by a crash."""


class Lives:
    """Runs one life after the other in a task of its own, which enters and leaves each."""

    def __init__(self, begin: Begin, took_over: Callable[[Running], None]) -> None:
        self._begin = begin
        self._took_over = took_over
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> Running:
        """Begin the first life; raise what its start raises."""
        first: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(first), name="choreo lives")
        either: list[asyncio.Future[Any]] = [first, self._task]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            self._task.result()
        return first.result()

    async def stop(self) -> None:
        """End the present life in order, and begin no other."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _run(self, first: "asyncio.Future[Running]") -> None:
        while not self._stopping.is_set():
            died = asyncio.Event()
            async with self._begin(died.set) as running:
                if not first.done():
                    first.set_result(running)
                else:
                    self._took_over(running)
                await self._either(died)
                if died.is_set():
                    _cut_short(running)

    async def _either(self, died: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (died, self._stopping)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _cut_short(running: Running) -> None:
    """Leave nothing of a life to be finished in order."""
    if running.worker is not None:
        running.worker.abort()
    if running.relay is not None:
        running.relay.stop()

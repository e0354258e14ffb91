"""Cancel a task exactly where it waits for the n-th time."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


class Interrupted:
    """Awaits *work*, and has the task cancelled when it waits for the *turn*-th time."""

    def __init__(self, work: Coroutine[Any, Any, object], turn: int) -> None:
        self._work = work
        self._turn = turn
        self.struck = False

    def __await__(self) -> Generator[Any, Any, object]:
        waits = self._work.__await__()
        result: object = None
        error: BaseException | None = None
        while True:
            try:
                waited = waits.send(result) if error is None else waits.throw(error)
            except StopIteration as done:
                return done.value
            self._turn -= 1
            if self._turn == 0:
                task = asyncio.current_task()
                assert task is not None
                self.struck = True
                task.cancel()
            try:
                result, error = (yield waited), None
            except BaseException as raised:  # noqa: BLE001 -- passed on, whatever it is
                result, error = None, raised


async def interrupted(work: Coroutine[Any, Any, object], turn: int) -> bool:
    """Run *work* and cancel it at *turn*; False if it ended before."""
    awaitable = Interrupted(work, turn)

    async def run() -> None:
        await awaitable

    task = asyncio.create_task(run(), name=f"interrupted at {turn}")
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()  # whoever is cancelled hears of that and of nothing else
    return awaitable.struck

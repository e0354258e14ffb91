"""Group commit: who comes while others are served is served next, all in one go.

The first to come is served at once, so nobody waits for a timer. While that lasts, others gather;
then as many as a batch holds are served together. The one task that serves lives only as long as
somebody waits.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from choreo.errors import StoreError

I = TypeVar("I")  # noqa: E741 -- item
R = TypeVar("R")

Serve = Callable[[Sequence[I]], Awaitable[Sequence[R | StoreError]]]
"""Do the work for a batch: a result, or what went wrong, for each of its items."""


def _nothing() -> None:
    """Do nothing."""


class Group(Generic[I, R]):
    """Gathers the items of concurrent callers into batches."""

    def __init__(
        self, name: str, serve: Serve[I, R], limit: int, ended: Callable[[], None] = _nothing
    ) -> None:
        """Call *ended* whenever nobody is left to be served."""
        self._name = name
        self._ended = ended
        self._serve = serve
        self._limit = limit
        self._waiting: deque[tuple[Sequence[I], asyncio.Future[Sequence[R]]]] = deque()
        self._serving: asyncio.Task[None] | None = None

    async def submit(self, items: Sequence[I]) -> Sequence[R]:
        """Return the results of *items*; raise the first StoreError among them.

        A caller that is cancelled before its batch has begun leaves nothing behind; later, its
        items are served nevertheless.
        """
        if not items:
            return ()
        future: asyncio.Future[Sequence[R]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, future))
        if self._serving is None:
            self._serving = asyncio.create_task(self._run(), name=f"store-{self._name}")
        return await future

    async def close(self) -> None:
        """Return when nobody is being served any more."""
        while self._serving is not None:
            await asyncio.wait([self._serving])

    async def _run(self) -> None:
        batch: list[tuple[Sequence[I], asyncio.Future[Sequence[R]]]] = []
        try:
            while batch := self._next():
                await self._serve_batch(batch)
        finally:
            self._serving = None
            self._ended()
            for _, future in [*batch, *self._waiting]:  # none, unless the task was cancelled
                if not future.done():
                    future.cancel()
            self._waiting.clear()

    def _next(self) -> list[tuple[Sequence[I], asyncio.Future[Sequence[R]]]]:
        """Take who waits, as many as the limit lets be served at once, and at least one."""
        batch: list[tuple[Sequence[I], asyncio.Future[Sequence[R]]]] = []
        size = 0
        while self._waiting and (not batch or size + len(self._waiting[0][0]) <= self._limit):
            items, future = self._waiting.popleft()
            if not future.done():
                batch.append((items, future))
                size += len(items)
        return batch

    async def _serve_batch(
        self, batch: Sequence[tuple[Sequence[I], asyncio.Future[Sequence[R]]]]
    ) -> None:
        try:
            results = await self._serve([item for items, _ in batch for item in items])
        except StoreError as error:
            results = [error] * sum(len(items) for items, _ in batch)
        # A bug must reach those who wait, and not end the task that serves them.
        except Exception as error:  # noqa: BLE001
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        start = 0
        for items, future in batch:
            own = results[start : start + len(items)]
            start += len(items)
            if not future.done():
                _resolve(future, own)


def _resolve(future: asyncio.Future[Sequence[R]], results: Sequence[R | StoreError]) -> None:
    good: list[R] = []
    for result in results:
        if isinstance(result, StoreError):
            # A fresh one for each: its traceback belongs to whoever it is raised to.
            failure = StoreError(*result.args)
            failure.__cause__ = result.__cause__
            future.set_exception(failure)
            return
        good.append(result)
    future.set_result(good)

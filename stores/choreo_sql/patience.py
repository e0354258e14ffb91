"""Bounds of time for what is said to a database: one timer for all that is being said.

``asyncio.timeout`` makes and cancels a timer for each statement, which was a twentieth of the time
of an event with a transaction.  All statements of a store have the same patience, so that those
that began first are over first, and one timer that looks at them is enough.
"""

import asyncio


class Patience:
    """What is being waited for, each for so many seconds at most."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[Bound, float] = {}
        """The time at which each is over, in order."""

    @property
    def idle(self) -> bool:
        """Say whether there is no timer."""
        return self._timer is None

    def begin(self, bound: "Bound") -> None:
        """Interrupt *bound* when its time is over."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timer = loop, None
            self._waiting.clear()
        end = self._waiting[bound] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(end, self._look)

    def end(self, bound: "Bound") -> None:
        """Let it be."""
        self._waiting.pop(bound, None)

    def close(self) -> None:
        """Look no more, unless somebody waits still."""
        if self._timer is not None and not self._waiting:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        assert self._loop is not None  # noqa: S101 -- it has called
        self._timer = None
        for bound, end in list(self._waiting.items()):
            if end > self._loop.time():
                self._timer = self._loop.call_at(end, self._look)
                return
            del self._waiting[bound]
            bound.interrupt()


class Bound:
    """Raises TimeoutError where what is awaited inside takes longer than *patience*."""

    __slots__ = ("_cancelling", "_over", "_patience", "_task")

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def interrupt(self) -> None:
        """Cancel the task, which is told that it was the time."""
        self._over = True
        self._task.cancel()

    def enter(self) -> None:
        """Begin to wait, perhaps once more."""
        self._over = False
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- a store is used in tasks
        self._task = task
        self._cancelling = task.cancelling()
        self._patience.begin(self)

    def leave(self, error: BaseException | None) -> None:
        """End to wait; raise TimeoutError if it was the time that cancelled the task."""
        self._patience.end(self)
        if not self._over:
            return
        ours = self._task.uncancel() <= self._cancelling
        if ours and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error

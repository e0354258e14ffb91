"""What the driver's thread replies: whoever awaits it goes on in the very turn that brings it.

A future tells those who await it in the loop's next turn, and what the thread replies takes one to
arrive, so that each statement would cost two.  It may be told at once because a callback of the
loop's brings it; who cancels is a task, and no other may go on within its step.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Reply(asyncio.Future[T]):
    """A future whose result is only ever set by a callback of the loop."""

    _first: tuple[Callable[[Any], object], Context] | None = None
    """Who is told at once, and in which context; whoever else asks is told in the next turn."""

    def add_done_callback(
        self, fn: Callable[[Self], object], /, *, context: Context | None = None
    ) -> None:
        """Call *fn* when the reply is there."""
        if self._first is None and context is not None and not self.done():
            self._first = (fn, context)
        else:
            super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[Self], object], /) -> int:
        """Do not call *fn*."""
        if self._first is not None and self._first[0] == fn:
            self._first = None
            return 1 + super().remove_done_callback(fn)
        return super().remove_done_callback(fn)

    def set_result(self, result: T, /) -> None:
        """Reply, and tell."""
        super().set_result(result)
        self._tell()

    def set_exception(self, exception: type | BaseException, /) -> None:
        """Reply, and tell."""
        super().set_exception(exception)
        self._tell()

    def cancel(self, msg: Any = None) -> bool:  # noqa: ANN401 -- as asyncio has it
        """Tell in the next turn."""
        cancelled = super().cancel(msg)
        if cancelled and self._first is not None:
            (fn, context), self._first = self._first, None
            self.get_loop().call_soon(fn, self, context=context)
        return cancelled

    def _tell(self) -> None:
        if self._first is not None:
            (fn, context), self._first = self._first, None
            context.run(fn, self)

"""An event loop without an outside: virtual time, a seeded order of what is ready, hosts that stop.

Theory of operation.  Nothing is waited for: when nothing is ready, time jumps to the next timer,
and when there is no timer either, everybody waits for everybody, which is an error.  Of what is
ready one callback is drawn at random, so that a seed is a schedule.  Every callback belongs to the
host in whose context it was set up.  What belongs to a dead host is put away unrun, and kept until
the end, because a coroutine that is dropped runs its ``finally``; what belongs to a paused host
waits until it goes on.  Hashes of tasks are their numbers, as sets of tasks (TaskGroup's) are
otherwise walked through in the order of their addresses, which differs from run to run.
"""

import asyncio
import contextvars
import sys
from asyncio import events
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Generic, Protocol, TypeVar, cast

T = TypeVar("T")

STEPS = 5_000_000
"""Callbacks after which a run is taken for one that never comes to rest."""
CROWD = 1_000
"""Tasks after which those that have ended are forgotten."""
CLOSINGS = 50
"""How often a coroutine that does not want to end is told to."""


class Deadlock(RuntimeError):
    """Everybody waits, and nobody for time to pass."""


class Owner(Protocol):
    """Whoever callbacks belong to."""

    @property
    def dead(self) -> bool:
        """Say whether none of its code may ever run again."""
        ...

    @property
    def held(self) -> "list[Call] | None":
        """Where its callbacks wait while it is paused; None while it runs."""
        ...

    @property
    def doom(self) -> Callable[[], None] | None:
        """What is to befall it at the end of the callback that runs; None if nothing is."""
        ...


OWNER: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("owner", default=None)
"""The host, or the world around all hosts, in whose context code runs; None if nobody set one."""


class Call(asyncio.TimerHandle):
    """A callback that is to run: what asyncio's handles are, without what only debugging needs."""

    __slots__ = ("args", "callback", "context", "moment")

    def __init__(  # the parent's would look at the loop, and at where it was called from
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        moment: float,
        context: contextvars.Context,
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.moment = moment
        self.context = context

    def __repr__(self) -> str:
        return f"<{self.callback!r} at {self.moment:.4f}>"

    def cancel(self) -> None:
        """Have it not run."""
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        """Say whether it is not to run."""
        return self.callback is None

    def when(self) -> float:
        """Tell its virtual time."""
        return self.moment


class SimulatedTask(asyncio.Task[T], Generic[T]):
    """A task whose hash is its number in the loop."""

    number: int = 0

    def __hash__(self) -> int:
        return self.number


class SimulationLoop(asyncio.AbstractEventLoop):
    """Runs coroutines in virtual time, in an order that *random* draws."""

    def __init__(self, random: Random | None, *, start: float = 0.0) -> None:
        """Draw what runs next; without *random* it is what was ready first."""
        self._random = random
        self._now = start
        self._ready: list[Call] = []
        self._timers: list[tuple[float, int, Call]] = []
        self._order = count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._left: list[Call] = []
        self._closed = self._running = False
        self._made = 0
        self._crowd = CROWD
        self.steps = 0
        """Callbacks that have run."""
        self.unhandled: list[str] = []
        """Exceptions that no task took."""

    # -- what runs ----------------------------------------------------------------------------

    def run_until_complete(self, future: Any) -> Any:  # noqa: ANN401 -- as asyncio's
        """Run *future* to its end; raise Deadlock if it can come to none."""
        main = asyncio.ensure_future(future, loop=self)
        hooks = sys.get_asyncgen_hooks()
        around = events._get_running_loop()  # noqa: SLF001 -- a test may run in a loop of its own
        # A generator that is dropped half way must not be closed, for that runs its code.
        sys.set_asyncgen_hooks(finalizer=_let_go)
        events._set_running_loop(self)  # noqa: SLF001 -- what every loop must do
        self._running = True
        try:
            while not main.done():
                if self._ready:
                    self._step()
                else:
                    self._pass_time()
        finally:
            self._running = False
            events._set_running_loop(around)  # noqa: SLF001 -- as above
            sys.set_asyncgen_hooks(*hooks)
        return main.result()

    def _step(self) -> None:
        ready = self._ready
        last = ready.pop()
        count = len(ready)
        if self._random is None:
            ready.append(last)
            call = ready.pop(0)
        elif (place := int(self._random.random() * (count + 1))) == count:
            call = last
        else:
            call, ready[place] = ready[place], last
        callback = call.callback
        if callback is None:
            return
        owner: Owner | None = call.context.get(OWNER)
        if owner is not None:
            if owner.dead:
                self._left.append(call)
                return
            if owner.held is not None:
                owner.held.append(call)
                return
        self.steps += 1
        if self.steps > STEPS:
            raise Deadlock(f"{STEPS} callbacks have run and there is no end: somebody spins")
        try:
            call.context.run(callback, *call.args)
        except Exception as error:  # noqa: BLE001 -- as every loop does
            self.call_exception_handler({"message": f"in {callback!r}", "exception": error})
        if owner is not None and (befall := owner.doom) is not None:
            befall()

    def _pass_time(self) -> None:
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heappop(timers)
        if not timers:
            names = sorted(task.get_name() for task in self._tasks if not task.done())
            raise Deadlock(f"everybody waits for somebody else: {', '.join(names)}")
        now = self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= now:
            call = heappop(timers)[2]
            if call.callback is not None:
                self._ready.append(call)

    def time(self) -> float:
        """Tell the virtual seconds."""
        return self._now

    # -- setting up ---------------------------------------------------------------------------

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401 -- as asyncio's
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Have *callback* run in some later step."""
        call = Call(callback, args, self._now, copy_context() if context is None else context)
        self._ready.append(call)
        return call

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401 -- as asyncio's
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have *callback* run when virtual time has come to *when*."""
        call = Call(callback, args, when, copy_context() if context is None else context)
        heappush(self._timers, (when, next(self._order), call))
        return call

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401 -- as asyncio's
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have *callback* run after *delay* virtual seconds."""
        when = self._now + delay if delay > 0 else self._now
        return self.call_at(when, callback, *args, context=context)

    def again(self, calls: list["Call"]) -> None:
        """Take up callbacks that a paused host held."""
        self._ready.extend(calls)

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Any,  # noqa: ANN401 -- as asyncio's
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **options: Any,  # noqa: ANN401 -- what later Pythons add
    ) -> asyncio.Task[Any]:
        """Make a task; in an empty context, too, it stays its maker's host's."""
        del options
        if context is not None and context.get(OWNER) is None and (owner := OWNER.get()):
            context.run(OWNER.set, owner)
        self._made += 1
        number = self._made
        if len(self._tasks) > self._crowd:
            self._tasks = [task for task in self._tasks if not task.done()]
            self._crowd = 2 * len(self._tasks) + CROWD
        made: Any = SimulatedTask
        task: SimulatedTask[Any] = made.__new__(made)
        task.number = number
        task.__init__(coro, loop=self, name=name or f"task {number}", context=context)  # type: ignore[misc]
        self._tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self,
        executor: Executor | None,
        func: Callable[..., T],
        *args: Any,  # noqa: ANN401 -- as asyncio's
    ) -> asyncio.Future[T]:
        """Run *func* in a step of its own: in a simulation there are no threads."""
        del executor
        result: asyncio.Future[T] = self.create_future()

        def call() -> None:
            if result.done():
                return
            try:
                value = func(*args)
            except Exception as error:  # noqa: BLE001 -- it is the caller's, as in a thread
                result.set_exception(error)
            else:
                result.set_result(value)

        self.call_soon(call)
        return result

    def call_soon_threadsafe(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,  # noqa: ANN401 -- as asyncio's
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Do what ``call_soon`` does, as there is one thread."""
        return self.call_soon(callback, *args, context=context)

    # -- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        """End every coroutine that has not ended, wherever it is; nothing it does then counts."""
        self._closed = True
        around = events._get_running_loop()  # noqa: SLF001 -- a test may run in a loop of its own
        events._set_running_loop(self)  # noqa: SLF001 -- a finally may ask for it
        try:
            for task in self._tasks:
                if not task.done():
                    setattr(task, "_log_destroy_pending", False)  # noqa: B010 -- no attribute of its type
                    _end(cast("Coroutine[Any, Any, Any]", task.get_coro()))
                elif not task.cancelled():
                    task.exception()
        finally:
            events._set_running_loop(around)  # noqa: SLF001 -- as above
        self._ready.clear()
        self._timers.clear()
        self._left.clear()
        self._tasks.clear()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody took."""
        if not self._closed:
            error = context.get("exception")
            self.unhandled.append(f"{context.get('message')}: {error!r}")

    def get_debug(self) -> bool:
        """Say no: it would look at the real clock."""
        return False

    def is_running(self) -> bool:
        """Say whether it is within ``run_until_complete``."""
        return self._running

    def is_closed(self) -> bool:
        """Say no: what ends after the end must not fail."""
        return False


def _let_go(generator: AsyncGenerator[Any, Any]) -> None:
    """Drop a generator without closing it."""


def _end(coroutine: Coroutine[Any, Any, Any]) -> None:
    for _ in range(CLOSINGS):
        with suppress(BaseException):
            coroutine.close()
            return

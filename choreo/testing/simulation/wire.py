"""The way from a host to a server: slow, lossy, and cut off where the host's life ends.

Theory of operation.  A call is carried out by the world, not by the caller: what a host has sent
goes on when the host has given up waiting, stands still or is dead, and what it had not sent by
then never happens.  Most work of a server never waits, and is done in the step in which the call
arrives; what does wait is given a task of the world's.  That is the fence: a dead host's code does
not run, and nothing that it had under way reaches it any more.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import Context
from math import log
from random import Random
from typing import Any, Generic, TypeVar, cast

from choreo.testing.simulation.host import Host
from choreo.testing.simulation.loop import SimulationLoop
from choreo.testing.simulation.weather import Rates

T = TypeVar("T")

UNANSWERED = 5.0
"""Seconds after which a client gives up on a server that is down."""
SLOW = 100
"""By how much a slow call is slower."""


class Conditions:
    """The weather as it is now: it changes when a world is healed."""

    def __init__(
        self, loop: SimulationLoop, seed: int, rates: Rates, latency: float, context: Context
    ) -> None:
        self.loop = loop
        self.rates = rates
        self._seed = seed
        self._chances: dict[str, Random] = {}
        self._latency = latency
        self._context = context
        """The world's own, for what no host's end may stop."""
        self._calling = context.copy()
        """The same, entered by one callback at a time."""

    def chance(self, name: str) -> float:
        """Draw from 0 to 1, for *name* alone: what one thing draws moves no other."""
        if name not in self._chances:
            self._chances[name] = Random(f"{self._seed} {name}")
        return self._chances[name].random()

    def happens(self, name: str) -> bool:
        """Draw whether what has the rate *name* happens now."""
        rate: float = getattr(self.rates, name)
        return rate > 0 and self.chance(name) < rate

    def choice(self, name: str, among: Sequence[float]) -> float:
        """Draw one of some."""
        return among[int(self.chance(name) * len(among))]

    def lag(self, who: str) -> float:
        """Draw how long one way takes from or to *who*."""
        slow = SLOW if self.happens("slow") else 1
        return -log(1.0 - self.chance(f"lag {who}")) * self._latency * slow

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Have the world do *work*."""
        return self.loop.create_task(work, name=name, context=self._context.copy())

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Have the world call *callback* after *seconds*."""
        self.loop.call_later(seconds, callback, context=self._calling)


class Server:
    """What is at the other end of wires: it answers, or does not."""

    def __init__(
        self,
        conditions: Conditions,
        failed: Callable[[str], Exception],
        *,
        counts: str,
        doubts: str,
        line: bool = False,
    ) -> None:
        """Fail calls with *failed*, at the rates of the names *counts* and *doubts*.

        *line* is for what hosts reach by the line that may be cut.
        """
        self._line = line
        self.conditions = conditions
        self.down = False
        self.locked = 0.0
        """Virtual time until which calls wait for somebody who holds what they want."""
        self.failed = failed
        self._fails = counts
        self._doubts = doubts

    def reached_by(self, host: Host) -> bool:
        """Say whether it answers *host*."""
        return not self.down and not (self._line and host.cut)

    def draw(self) -> tuple[bool, bool]:
        """Draw whether a call fails before it counts, and whether it fails after."""
        happens = self.conditions.happens
        before = bool(self._fails) and happens(self._fails)
        return before, bool(self._doubts) and happens(self._doubts)


class Wire:
    """One host's connection to one server."""

    def __init__(self, host: Host, server: Server) -> None:
        self._host = host
        self._server = server

    @property
    def open(self) -> bool:
        """Say whether a call would be answered now."""
        return self._server.reached_by(self._host)

    async def call(self, work: Callable[[], Coroutine[Any, None, T]]) -> T:
        """Have the server do *work*; raise the server's failure if there is no answer."""
        conditions = self._server.conditions
        if self._host.doom is not None:
            self._host.doom()
            await asyncio.sleep(0)  # a dead one never comes back, a paused one when it goes on
        if self._host.struck("before"):
            await conditions.loop.create_future()
        reply: asyncio.Future[T] = conditions.loop.create_future()
        conditions.later(conditions.lag(self._host.name), lambda: self._arrive(work, reply))
        return await reply

    def _arrive(
        self, work: Callable[[], Coroutine[Any, None, T]], reply: "asyncio.Future[T]"
    ) -> None:
        server, conditions = self._server, self._server.conditions
        if not server.reached_by(self._host):
            error = server.failed("it does not answer")
            conditions.later(UNANSWERED, lambda: _answer(reply, None, error))
            return
        rest = server.locked - (now := conditions.loop.time())
        if rest > UNANSWERED:
            error = server.failed("what it wants is locked")
            conditions.later(UNANSWERED, lambda: _answer(reply, None, error))
            return
        if now + rest > now:  # a rest that is too small to be added would never be over
            conditions.later(rest, lambda: self._arrive(work, reply))
            return
        before, after = server.draw()
        if before:
            _answer(reply, None, server.failed("it failed"))
            return
        coroutine = work()
        try:
            waiting = coroutine.send(None)
        except StopIteration as done:
            self._served(reply, done.value, None, doubted=after)
        except Exception as error:  # noqa: BLE001 -- it is the caller's
            self._served(reply, None, error, doubted=after)
        else:
            begun = _Begun(coroutine, waiting)
            _ = conditions.spawn(self._serve(begun, reply, doubted=after), "call")

    async def _serve(self, work: "_Begun[T]", reply: "asyncio.Future[T]", *, doubted: bool) -> None:
        result: T | None = None
        error: Exception | None = None
        try:
            result = await work
        except Exception as problem:  # noqa: BLE001 -- it is the caller's
            error = problem
        self._served(reply, result, error, doubted=doubted)

    def _served(
        self,
        reply: "asyncio.Future[T]",
        result: T | None,
        error: Exception | None,
        *,
        doubted: bool,
    ) -> None:
        if self._host.struck("after"):
            return
        if doubted:
            error = self._server.failed("the connection broke before there was an answer")
        conditions = self._server.conditions
        conditions.later(conditions.lag(self._host.name), lambda: _answer(reply, result, error))


class _Begun(Generic[T]):
    """A coroutine that waits for something already."""

    def __init__(self, coroutine: Coroutine[Any, None, T], waiting: object) -> None:
        self._coroutine = coroutine
        self._waiting = waiting

    def __await__(self) -> Generator[object, None, T]:
        """Go on waiting for the same."""
        yield self._waiting
        return (yield from self._coroutine.__await__())


def _answer(reply: "asyncio.Future[T]", result: T | None, error: Exception | None) -> None:
    if reply.done():
        return
    if error is not None:
        reply.set_exception(error)
    else:
        reply.set_result(cast("T", result))

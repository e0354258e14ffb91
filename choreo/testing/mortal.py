"""One life of a service of a world, and how it ends: at once, and without a ``finally``.

Theory of operation.  Nobody can kill a part of a process.  What stands for it: the handler that
runs is left where it stands, as are all others of the service, and none of them goes on; whatever
the life still does is cancelled, and what it sends to broker or store from then on does not count.
What it had begun beside that by then may still come to its end, as if it had been a moment sooner.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

from choreo.broker import Notice
from choreo.context import Context
from choreo.delivery.job import Job, Outcome, Received
from choreo.delivery.journal import Journal
from choreo.message import Delivery, Message
from choreo.middleware import Call
from choreo.testing.fate import Fate, Stage

Left = list[Coroutine[Any, Any, None]]
"""Handlers that were left where they stood."""


class Life:
    """A journal and the outermost middleware of one life."""

    def __init__(
        self, fate: Fate, dice: Random, left: Left, died: Callable[[Stage, str], None]
    ) -> None:
        self.dead = False
        self._fate = fate
        self._dice = dice
        self._left = left
        self._died = died
        self._ended: dict[int, list[Job]] = {}
        """Who is done with a delivery; its number stays its own, as the jobs hold it."""

    # -- dying ------------------------------------------------------------------------------------

    def doomed(self, stage: Stage, handler: str) -> bool:
        """Say whether it is to die where it has come to now."""
        return not self.dead and self._fate.strikes(stage, handler)

    def die(self, stage: Stage, handler: str) -> None:
        """End, here and now."""
        self.dead = True
        self._died(stage, handler)

    def ends(self, stage: Stage, handler: str) -> bool:
        """Have it die here if it is to; say whether it is dead."""
        if self.doomed(stage, handler):
            self.die(stage, handler)
        return self.dead

    def publishing(self, stage: Stage) -> str:
        """Name the handler for which it is to die at a publication, if it is."""
        return "" if self.dead else self._fate.strikes_publication(stage)

    def settles(self, deliveries: Sequence[Delivery]) -> bool:
        """Say whether a settlement counts; the one before which it dies does not."""
        for delivery in deliveries:
            for job in self._ended.pop(id(delivery), ()):
                self._settling(job)
        return not self.dead

    def _settling(self, job: Job) -> None:
        if job.handler is None or self.dead:
            return
        handler = job.handler.plan.id
        if self._fate.strikes_settlement(handler, emitted=bool(job.emitted)):
            self.die(Stage.UNSETTLED, handler)

    # -- around its handlers ----------------------------------------------------------------------

    async def around(self, context: Context, call: Call) -> None:
        """Call a handler, unless life is over."""
        handler = context.handler
        if self.ends(Stage.BEFORE, handler):
            await never()
        await _Step(self, handler, _called(call, context))
        if self.ends(Stage.HANDLED, handler):
            await never()

    def now(self) -> bool:
        """Say whether it is this time that a handler waits for something: by chance."""
        return self._dice.random() < 1 / 2

    def leave(self, handler: Coroutine[Any, Any, None]) -> None:
        """Leave a handler where it stands."""
        self._left.append(handler)

    # -- what it hears as a journal ---------------------------------------------------------------

    def ended(self, job: Job, outcome: Outcome, /) -> None:
        """Keep who is done with a delivery."""
        if outcome in (Outcome.HANDLED, Outcome.DEAD_LETTERED):
            self._ended.setdefault(id(job.received.delivery), []).append(job)

    def received(self, received: Received, /) -> None:
        """Know of it when it has ended."""

    def failed(self, job: Job, error: BaseException, delay: float | None, /) -> None:
        """Live on."""

    def settled(self, received: Received, /) -> None:
        """Know of it from the consumer."""

    def published(self, messages: Sequence[Message], /) -> None:
        """Know of it from the broker."""

    def notice(self, notice: Notice, /) -> None:
        """Live on."""


class _Step:
    """Awaits a handler's coroutine step by step, so that it can be left between two of them."""

    def __init__(self, life: Life, handler: str, coroutine: Coroutine[Any, Any, None]) -> None:
        self._life = life
        self._handler = handler
        self._coroutine = coroutine
        self._condemned = life.doomed(Stage.WITHIN, handler)
        """It does not come to its end, even if it waits for nothing."""

    def __await__(self) -> Generator[Any, Any, None]:
        life, go_on = self._life, partial(self._coroutine.send, None)
        while not life.dead:
            try:
                waited = go_on()
            except BaseException as end:
                if self._condemned:
                    break
                if isinstance(end, StopIteration):
                    return
                raise
            if self._condemned and life.now():
                break
            try:
                got = yield waited
                go_on = partial(self._coroutine.send, got)
            except BaseException as error:
                if life.dead:
                    life.leave(self._coroutine)
                    raise
                go_on = partial(self._coroutine.throw, error)
        if self._condemned and not life.dead:
            life.die(Stage.WITHIN, self._handler)
        life.leave(self._coroutine)
        yield from never().__await__()


async def _called(call: Call, context: Context) -> None:
    await call(context)


async def never() -> None:
    """Wait for what does not come."""
    await asyncio.get_running_loop().create_future()


def forget(left: Left) -> None:
    """Let go of handlers that were left: what they have in a ``finally`` can be put off no more."""
    while left:
        with suppress(Exception, asyncio.CancelledError):
            left.pop().close()


_: type[Journal] = Life

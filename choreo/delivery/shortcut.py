"""The short way of what no store, order, replay or outage concerns: one coroutine an event.

Theory of operation.  Most events of most services have one handler, come once, and are handled at
the first attempt.  Nothing needs to be asked about such a one (intake gave its job a *name*), and
when its handler has returned without emitting anything, nothing is owed but to end it.  Whatever is
different goes the long way, which knows all there is, from where it is: before its first attempt as
if this had never been, and after it as if the attempt had been made there.
"""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from choreo.context import Context, current
from choreo.delivery.attempts import Attempts
from choreo.delivery.endings import Endings
from choreo.delivery.inbox import Inbox
from choreo.delivery.job import Brief, Handler, Job, Outcome
from choreo.delivery.slots import Slot
from choreo.envelope import Envelope
from choreo.event import Event
from choreo.failpoints import armed, reached
from choreo.message import Delivery, Message
from choreo.store.outbox import Emission

FILTERED = Outcome.FILTERED
NOTHING: Sequence[Any] = ()
enter, leave = current.set, current.reset

Way = Callable[[Job, Slot], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Where jobs go that leave the short way, and who hears that one is on it."""

    long: Way
    """For what has not been attempted."""
    onward: Callable[[Job, Slot, Outcome | None], Coroutine[Any, Any, None]]
    """For what has, with its outcome if it has ended."""
    offer: Callable[[Job, Slot], bool]
    """Has what a handler emitted published, unless it must go ``onward``."""
    bury: Callable[[Job, Slot], bool]
    """Has the letter sent of what failed for good, unless it must go ``onward``."""
    begun: Callable[[Delivery], None] | None
    """Hears of what begins, where that matters."""


class Shortcut:
    """Takes jobs to their ends that need nothing else."""

    __slots__ = (
        "_attempts",
        "_begun",
        "_bury",
        "_endings",
        "_inbox",
        "_long",
        "_offer",
        "_onward",
        "_outages",
    )

    def __init__(self, attempts: Attempts, inbox: Inbox[Job], endings: Endings, ways: Ways) -> None:
        self._attempts = attempts
        self._outages = attempts.outages
        self._inbox = inbox
        self._endings = endings
        self._long = ways.long
        self._onward = ways.onward
        self._offer = ways.offer
        self._bury = ways.bury
        self._begun = ways.begun

    def advance(self, job: Job, slot: Slot, /) -> Coroutine[Any, Any, None]:
        """Take *job* as far as it gets: to its end, or to a wait for another attempt."""
        handler, received, name = job.handler, job.received, job.name
        envelope = received.envelope
        if handler is None or envelope is None or not name or job.run:
            return self._long(job, slot)
        brief = handler.brief
        if (
            brief is None
            or (self._outages and self._rests(handler))
            or not self._inbox.begins(name, job)
        ):
            return self._long(job, slot)
        if self._begun is not None:
            self._begun(received.delivery)
        job.attempt = job.run = 1
        slot.deadline = slot.began + handler.seconds
        if brief.alone is not None:
            return self._alone(job, slot, brief, brief.alone, envelope)
        return self._attempt(job, slot, brief, envelope)

    async def _alone(
        self,
        job: Job,
        slot: Slot,
        brief: Brief,
        handle: Callable[[Event], Awaitable[object]],
        envelope: Envelope,
    ) -> None:
        """Make the attempt of a handler that asks for nothing but the event."""
        read = brief.read
        emitted = outbound = NOTHING
        try:
            event = read(envelope)
            if event is not None:
                token = enter(job)
                try:
                    if armed:
                        reached("handling")
                    result = await handle(event)
                    if result is not None or armed:
                        answer = None if armed else brief.answer(envelope, result)
                        if answer is not None:
                            outbound = (answer,)
                        else:
                            emitted, outbound = brief.keep(job.told(), result)
                finally:
                    leave(token)
        except BaseException as error:  # the attempt: whatever a handler raises is its result
            if self._attempts.interrupts(error):
                raise
            if (rest := self._failed(job, slot, error)) is not None:
                await rest
            return
        if outbound or self._outages or event is None or job.run != 1:
            if self._hands_over(job, slot, emitted, outbound):
                return
            outcome = FILTERED if event is None else None
            await self._otherwise(job, slot, emitted, outbound, outcome)
        else:
            self._endings.end_plain(job, envelope)

    def _hands_over(
        self, job: Job, slot: Slot, emitted: Sequence[Emission], outbound: Sequence[Message]
    ) -> bool:
        """Have an answer published, if that is all there is to do; False if it is not."""
        if not outbound or self._outages or job.run != 1:
            return False
        slot.deadline = None
        job.done, job.emitted, job.outbound = True, emitted, outbound
        return self._offer(job, slot)

    async def _attempt(self, job: Job, slot: Slot, brief: Brief, envelope: Envelope) -> None:
        """Make the attempt of any other handler."""
        # Bound to names first, as CPython 3.11 looks up callable attributes the slow way.
        read, invoke, follow = brief.read, brief.invoke, brief.follow
        emitted = outbound = NOTHING
        context: Context[Any] = Context(envelope, job.received.delivery, 1, brief.site)
        try:
            event = read(envelope)
            if event is not None:
                token = enter(context)
                following = None if follow is None else follow(job)
                try:
                    if armed:
                        reached("handling")
                    result = await invoke(event, context)
                    # Its maker may look: most have emitted nothing.
                    if result is not None or context._emitted or armed:  # noqa: SLF001
                        emitted, outbound = brief.keep(context, result)
                finally:
                    leave(token)
                    context.site = brief.ended
                    if following is not None:
                        following.end(sys.exception())
        except BaseException as error:  # the attempt: whatever a handler raises is its result
            if self._attempts.interrupts(error):
                raise
            if (rest := self._failed(job, slot, error)) is not None:
                await rest
            return
        if outbound or self._outages or event is None or job.run != 1:
            outcome = FILTERED if event is None else None
            await self._otherwise(job, slot, emitted, outbound, outcome)
        else:
            self._endings.end_plain(job, envelope)

    async def _otherwise(
        self,
        job: Job,
        slot: Slot,
        emitted: Sequence[Emission],
        outbound: Sequence[Message],
        outcome: Outcome | None,
    ) -> None:
        """Go on after an attempt that did not fail, but was not all that there is to do."""
        slot.deadline = None
        handler = job.handler
        if job.run != 1:  # abandoned
            await self._onward(job, slot, None)
            return
        outage = None if handler is None else self._outages.get(handler.index)
        if handler is not None and outage is not None:
            self._attempts.succeeded(handler, outage)
        if outcome is None and not outbound:
            outcome = Outcome.HANDLED
        elif outcome is None:
            job.done, job.emitted, job.outbound = True, emitted, outbound
        await self._onward(job, slot, outcome)

    def _rests(self, handler: Handler) -> bool:
        """Say whether what *handler* depends on is down."""
        outage = self._outages.get(handler.index)
        return outage is not None and outage.cause is not None

    def _failed(self, job: Job, slot: Slot, error: BaseException) -> Awaitable[None] | None:
        """Decide what follows from *error*, and begin with it; tell what is to be awaited."""
        if job.run == 1 and job.handler is not None:
            rest = self._attempts.failed(job, job.handler, error, slot)
            if rest is not None:
                return self._decided(job, slot, rest)
        slot.deadline = None
        if job.reason is not None and self._bury(job, slot):
            return None
        return self._onward(job, slot, None)

    async def _decided(self, job: Job, slot: Slot, rest: Awaitable[None]) -> None:
        await rest
        slot.deadline = None
        await self._onward(job, slot, None)

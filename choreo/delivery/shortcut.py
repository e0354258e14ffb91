"""The short way of what no store, order, replay or outage concerns: two coroutines an event.

Theory of operation.  Most events of most services have one handler, come once, and are handled at
the first attempt.  Nothing needs to be asked about such a one (intake gave its job a *name*), and
when its handler has returned without emitting anything, nothing is owed but to end it.  Whatever is
different goes the long way, which knows all there is, from where it is: before its first attempt as
if this had never been, and after it as if the attempt had been made there.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from choreo.delivery.attempts import Attempts
from choreo.delivery.endings import Endings
from choreo.delivery.inbox import Inbox
from choreo.delivery.job import Job, Outcome
from choreo.delivery.slots import Slot
from choreo.message import Delivery

Way = Callable[[Job, Slot], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Where jobs go that leave the short way, and who hears that one is on it."""

    long: Way
    """For what has not been attempted."""
    onward: Callable[[Job, Slot, Outcome | None], Coroutine[Any, Any, None]]
    """For what has, with its outcome if it has ended."""
    begun: Callable[[Delivery], None] | None
    """Hears of what begins, where that matters."""


class Shortcut:
    """Takes jobs to their ends that need nothing else."""

    __slots__ = ("_attempts", "_begun", "_endings", "_inbox", "_outages", "_ways")

    def __init__(self, attempts: Attempts, inbox: Inbox[Job], endings: Endings, ways: Ways) -> None:
        self._attempts = attempts
        self._outages = attempts.outages
        self._inbox = inbox
        self._endings = endings
        self._ways = ways
        self._begun = ways.begun

    async def advance(self, job: Job, slot: Slot, /) -> None:
        """Take *job* as far as it gets: to its end, or to a wait for another attempt."""
        handler, envelope, name = job.handler, job.received.envelope, job.name
        outage = None
        if self._outages and handler is not None:
            outage = self._outages.get(handler.index)
        if (
            not name
            or job.run
            or handler is None
            or envelope is None
            or (outage is not None and outage.cause is not None)
            or not self._inbox.begins(name, job)
        ):
            await self._ways.long(job, slot)
            return
        if self._begun is not None:
            self._begun(job.received.delivery)
        job.attempt = job.run = 1
        slot.deadline = slot.began + handler.seconds
        process = handler.process
        try:
            outcome = await process(job)
        except BaseException as error:  # the attempt: whatever a handler raises is its result
            if self._attempts.interrupts(error):
                raise
            if job.run == 1:
                await self._attempts.failed(job, handler, error, slot)
            outcome = slot.deadline = None
        else:
            if outage is not None and job.run == 1:
                self._attempts.succeeded(handler, outage)
            if outcome is None and job.run == 1 and not job.outbound:
                self._endings.end_plain(job, envelope)
                return
            slot.deadline = None
        await self._ways.onward(job, slot, outcome if job.run == 1 else None)

"""Whether it is a job's turn when its lane lets it out, and what is owed when it has ended."""

from collections.abc import Callable

from choreo.delivery.attempts import Records, key_of
from choreo.delivery.burial import Burial
from choreo.delivery.endings import Endings
from choreo.delivery.inbox import replay_of
from choreo.delivery.job import Handler, Job, Outcome
from choreo.delivery.ordering import Ordering
from choreo.delivery.publisher import Told
from choreo.delivery.recovery import Recovery
from choreo.errors import HandlerHalted, StoreError
from choreo.failpoints import reached
from choreo.reason import Reason
from choreo.replay import Behind, ReplayRefused

WRITTEN = frozenset((Outcome.HANDLED, Outcome.DEAD_LETTERED))
"""Outcomes whose end a store writes together with the stream's move and the place left."""


class Turns:
    """Before and after what is done for a job, in one worker."""

    def __init__(
        self,
        records: Records,
        burial: Burial,
        ordering: Ordering,
        recovery: Recovery,
        endings: Endings,
        trouble: Callable[[Job, BaseException], None],
    ) -> None:
        self._books = records.books
        self._inbox = records.inbox
        self._burial = burial
        self._ordering = ordering
        self._recovery = recovery
        self._endings = endings
        self._trouble = trouble
        self.lines = recovery.lines
        """Lines of the lot that are open, as far as is known."""

    def free(self, job: Job) -> bool:
        """Say whether the job may go on without anybody being asked."""
        if job.ending is not None or (job.received.behind is not None and not job.decided):
            return False
        return (job.order is None and not self._recovery.line_open(job)) or job.decided

    async def come(self, job: Job) -> bool:
        """Say whether a job that is not free may go on; otherwise it has ended, or waits."""
        if job.ending is not None:
            await self.conclude(job, job.ending)
            return False
        try:
            if job.order is not None and job.order.overtaken:
                await self._ordering.judge_anew(job)
                return False
            outcome = await self._judge(job)
        except StoreError as error:
            self._trouble(job, error)
            return False
        if outcome is not None:
            await self.conclude(job, outcome)
        return outcome is None

    def conclude_now(self, job: Job, outcome: Outcome) -> bool:
        """End the job if a store has no share in that; False, and nothing is done, if one has."""
        if job.order is not None or job.parked is not None:
            return False
        envelope = job.received.envelope
        if job.name and outcome is Outcome.HANDLED and envelope is not None:
            self._endings.end_plain(job, envelope)
        elif job.name and outcome is Outcome.DEAD_LETTERED:
            self._endings.end_buried(job)
        else:
            self._endings.end(job, outcome)
        return True

    async def conclude(self, job: Job, outcome: Outcome) -> None:
        """End the job once what most ends write themselves is written, too."""
        order = job.order
        try:
            if order is not None and order.step is not None:
                if outcome is Outcome.HANDLED and self._books.durable:
                    order.step = None
                await self._ordering.move(job)
            if job.parked is not None and outcome not in WRITTEN:
                await self._recovery.left(job, outcome)
        except StoreError as error:
            job.ending = outcome
            self._trouble(job, error)
        else:
            self._endings.end(job, outcome)

    def begin_to_bury(self, job: Job, told: Told[Job]) -> bool:
        """Have the letter sent where no store has a share in that; *told* hears how it went."""
        if self._books.durable or job.buried:
            return False
        reached("burying")
        return self._burial.hand_in(job, told)

    def lettered(self, job: Job) -> Outcome:
        """Note that the broker has the letter that was begun."""
        job.buried = True
        self._burial.buried(job)
        reached("lettered")
        return Outcome.DEAD_LETTERED

    async def bury(self, job: Job) -> Outcome:
        """Have the letter accepted first and noted then: a crash between repeats it (D2)."""
        if not job.buried:
            reached("burying")
            await self._burial.bury(job)
            job.buried = True
            reached("lettered")
        if self._books.durable:
            await self._books.buried(job)
            reached("buried")
        return Outcome.DEAD_LETTERED

    async def _judge(self, job: Job) -> Outcome | None:
        order, handler = job.order, job.handler
        if order is not None and order.unasked:
            await self._recovery.learn((job,))
            order.unasked = False
        if self._recovery.line_open(job) and await self._recovery.append(job):
            return Outcome.PARKED
        if handler is not None and job.received.behind is not None:
            await self._follow(job, handler, job.received.behind)
        if job.reason is not None:
            return None
        if order is None or order.past is None or handler is None:
            return None
        await self._books.recall((job,))
        if not self._inbox.finished(key_of(job, handler)):
            return self._ordering.late(job)
        order.past = None
        return None

    async def _follow(self, job: Job, handler: Handler, behind: Behind) -> None:
        """Have a replay go back unhandled if the one before it under its key has failed again."""
        key = (handler.index, behind.source, behind.id)
        if self._inbox.finished(replay_of(key, behind.generation)):
            failed = not self._inbox.finished(key)
        else:
            failed = await self._books.failed_again(key, behind.generation)
        job.received.behind = None
        if failed:
            job.reason = Reason.BEHIND_FAILED
            job.error = ReplayRefused(
                f"event {behind.id}, which comes before it under its key, failed again: mend that "
                "and replay both, or replay this one alone"
            )


def halted(job: Job) -> HandlerHalted | None:
    """Say why the service halts before a job that failed for good; None if it does not."""
    handler = job.handler
    if handler is None or handler.plan.options.on_failure != "halt":
        return None
    name = job.names["event_id"]
    return HandlerHalted(f"handler {handler.plan.id} halts at event {name}: {job.error}")

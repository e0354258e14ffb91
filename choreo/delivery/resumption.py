"""Events that waited in the store for their number, on their way back into order.

Theory of operation.  A numbered line is read in the order of its numbers, and its first event asks
the sequencer for its turn, as if it had just come.  If it has it, it runs in the lane of its
stream, and the next one asks.  If not, there is a gap: what is decided about it depends on whether
patience is over, whether something was let out on this look, and on the policy.  A look that
decides nothing leaves the line as it was.
"""

from datetime import timedelta
from enum import Enum

from choreo.broker import Notice
from choreo.delivery.job import Job, Outcome
from choreo.delivery.journal import Journal
from choreo.delivery.numbered import Gap
from choreo.delivery.ordering import Ordering
from choreo.delivery.patience import AGAIN, numbers_of, told
from choreo.delivery.returning import Returns
from choreo.delivery.sequencer import ENDLESS, REQUESTS
from choreo.delivery.sequencing import Ask
from choreo.errors import BrokerError, StoreError
from choreo.gaps import Gaps
from choreo.store.lot import Line, Lot

BATCH = 64
"""Events of a line that are read at once."""


class Course(Enum):
    """What is done about the gap before a line."""

    SKIP = "skip"
    RESEND = "resend"
    WAIT = "wait"
    """Patience begins anew, or what is waited for has no end."""
    LEAVE = "leave"
    """Everything stays as it was, until somebody calls again."""


def course(line: Line, gaps: Gaps, *, hopeless: bool, moved: bool) -> Course:
    """Decide about a gap; *hopeless* says that its numbers cannot come any more.

    *moved* says that something was let out on this look, so that the gap is another than before.
    """
    endless = gaps.policy in ENDLESS and not hopeless
    if line.released and not moved:
        return Course.SKIP
    if moved or (line.rest is None and hopeless):
        return Course.WAIT
    if line.rest is None or line.rest:
        return Course.LEAVE
    if gaps.policy == "resend" and not hopeless and line.attempts < REQUESTS:
        return Course.RESEND
    return Course.WAIT if endless else Course.SKIP


class Resumption:
    """Lets out what has its turn of one line at a time."""

    def __init__(
        self, lot: Lot, returns: Returns, ordering: Ordering, ask: Ask, journal: Journal
    ) -> None:
        self._lot = lot
        self._returns = returns
        self._ordering = ordering
        self._ask = ask
        self._journal = journal

    async def through(self, line: Line) -> bool:
        """Say whether the line has gone, or waits; False if it is to be given back."""
        moved, last = False, None
        while parked := await self._lot.first(line, BATCH):
            async with self._returns.read(parked, line) as jobs:
                for place, job in enumerate(jobs):
                    if self._returns.stopping:
                        return False
                    if job is None:
                        why = "the service has no handler for it"
                        return await self._lot.wait(line, None, why)
                    gap = await self._turn(job, give_up=False)
                    if gap is not None and place:
                        break  # something may have come before it: look again
                    if gap is not None:
                        given_up = await self._decide(line, job, gap, moved=moved)
                        if given_up is not None:
                            return given_up
                    if await self._returns.ended(job) is Outcome.DROPPED:
                        return False
                    moved, last = True, job.order
        if last is not None and self._ordering.spool is not None:
            self._ordering.spool.closed(last.stream)
        return True

    async def _turn(self, job: Job, *, give_up: bool) -> Gap | None:
        """Let the job into its lane, or tell the gap before it."""
        await self._ordering.learn((job,))
        gap = self._ordering.resume(job, give_up=give_up)
        if gap is not None and not give_up and not await self._ordering.confirm(gap):
            await self._ordering.learn((job,))
            gap = self._ordering.resume(job, give_up=False)
        return gap

    async def _decide(self, line: Line, job: Job, gap: Gap, *, moved: bool) -> bool | None:
        """Do what is to be done about *gap*; None if the job goes on past it."""
        handler = job.handler
        assert handler is not None  # noqa: S101 -- what has a gap before it has a handler
        assert handler.gaps is not None  # noqa: S101 -- which has it put in order
        gaps, patience = handler.gaps, handler.gaps.patience
        if self._ordering.spool is not None:
            self._ordering.spool.found(gap.stream, line.line)
        hopeless = gap.last == 0 or await self._lot.newest(line) > gap.epoch
        note = f"waits for {numbers_of(gap)} of stream {gap.stream[2]!r} of {gap.stream[1]}"
        match course(line, gaps, hopeless=hopeless, moved=moved):
            case Course.LEAVE:
                await self._lot.heard(line)
                return True
            case Course.WAIT:
                endless = gaps.policy in ENDLESS and not hopeless
                self._tell(gap, gaps, endless=endless)
                self._ordering.patience.lookout.begins(line.line, patience.total_seconds())
                return await self._lot.wait(line, None if endless else patience, note)
            case Course.RESEND:
                try:
                    await self._ask(gap)
                except BrokerError as error:
                    raise StoreError("its source cannot be asked now") from error
                self._journal.notice(told(gap, "resend"))
                self._ordering.patience.lookout.begins(line.line, patience.total_seconds())
                return await self._lot.put_off(line, patience, note)
            case Course.SKIP if not line.released and (rest := self._rest(line, gap, gaps)):
                await self._lot.postpone([line.line], timedelta(seconds=rest))
                await self._lot.heard(line)
                return True
            case Course.SKIP:
                self._journal.notice(told(gap, "skip"))
                await self._turn(job, give_up=True)
                return None

    def _rest(self, line: Line, gap: Gap, gaps: Gaps) -> float:
        """Tell how much longer its number may be on its way here, or into the store."""
        spool = self._ordering.spool
        if spool is not None and spool.writes(gap.stream):
            return AGAIN
        lookout = self._ordering.patience.lookout
        return lookout.rest(line.line, gaps.patience.total_seconds())

    def _tell(self, gap: Gap, gaps: Gaps, *, endless: bool) -> None:
        if endless:
            notice = told(gap, gaps.policy)
            self._journal.notice(
                Notice(kind="sequence_gap", text=notice.text, missing=notice.missing)
            )

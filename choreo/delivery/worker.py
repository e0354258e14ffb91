"""The rim of one service's consumption: pulls deliveries, runs jobs, settles what is done.

It decides nothing itself: Intake says what a delivery is, Lanes what may run, Retry when to try
again, Inbox what is a duplicate.  A delivery is settled when each of its handlers has ended with
it: handled, filtered, a duplicate, or in the dead letters with the broker's word for it.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence

from choreo.broker import Consumer, Notice
from choreo.delivery.arrival import Arrival, Bounds
from choreo.delivery.attempts import Attempts, Records, overrun
from choreo.delivery.burial import Burial
from choreo.delivery.custody import Custody
from choreo.delivery.demand import Demand
from choreo.delivery.departure import Departure, everything
from choreo.delivery.endings import Endings
from choreo.delivery.handover import Handover
from choreo.delivery.intake import Intake
from choreo.delivery.job import Handler, Job, Outcome
from choreo.delivery.journal import Journal, Journals, awaited
from choreo.delivery.lanes import Lanes
from choreo.delivery.limits import Limits
from choreo.delivery.ordering import Ordering
from choreo.delivery.recovery import Recovery
from choreo.delivery.returning import Yard
from choreo.delivery.shortcut import Shortcut, Way, Ways
from choreo.delivery.slots import Slot, Slots
from choreo.delivery.turns import Turns
from choreo.delivery.waiting import Waiting
from choreo.environment import Environment
from choreo.errors import (
    ChoreoError,
    HandlerHalted,
    Overtaken,
    PublishError,
)
from choreo.failpoints import reached
from choreo.reason import Reason
from choreo.retry import FOREVER
from choreo.telemetry.text import named

logger = logging.getLogger(__name__)


class Worker:
    """Moves deliveries from a consumer through lanes to handlers; it is the consumer's Listener."""

    def __init__(
        self,
        intake: Intake,
        records: Records,
        burial: Burial,
        limits: Limits,
        environment: Environment,
        journals: Sequence[Journal] = (),
    ) -> None:
        self._finish_begun = limits.finish_begun
        self._random = environment.random
        self._journal = Journals((*journals, records.guard) if records.guard else journals)
        self._lanes: Lanes[Job] = Lanes()
        self._inbox = records.inbox
        self._attempts = Attempts(records, limits, environment, self._journal, self)
        self._waiting: Waiting[Job] = Waiting(environment.clock, self.ready_again)
        clock, ready = environment.clock, self._lanes.ready
        self._slots = Slots(limits.concurrency, limits.grace, clock, ready, self)
        self._custody = Custody(limits, self._journal, self.crashed)
        self._demand = Demand(limits, self._custody, ready, self._slots, clock)
        self._ordering = Ordering(records.sequencing, self._lanes, environment, self._journal, self)
        self._departure = Departure(
            self._lanes, self._inbox, self._waiting, self._slots, self._ordering, self
        )
        self._endings = Endings(
            records, self._lanes, self._custody, self._ordering, self._journal, self.ready_again
        )
        self._recovery = Recovery(
            records, self._yard(intake), self._ordering, environment, self._journal
        )
        self._turns = Turns(
            records, burial, self._ordering, self._recovery, self._endings, self.trouble
        )
        self._handover = Handover(records, self._turns, self._recovery, self._slots, self)
        orders = (self._ordering, self._recovery)
        self._arrival = Arrival(intake, records, self._bounds, *orders, self._journal, self._random)
        self.advance: Way = self._advance if records.books.durable else self._shortcut()
        """Takes a job as far as it gets: to its end, or to a wait for another attempt."""
        self._crash: Exception | None = None

    @property
    def _bounds(self) -> Bounds:
        return Bounds(custody=self._custody, demand=self._demand, departure=self._departure)

    def _shortcut(self) -> Way:
        begun = self._custody.note_begun if self._finish_begun else None
        ways = Ways(
            long=self._advance,
            onward=self._handover.go_on,
            offer=self._handover.offer,
            bury=self._handover.bury,
            begun=begun,
        )
        return Shortcut(self._attempts, self._inbox, self._endings, ways).advance

    def _yard(self, intake: Intake) -> Yard:
        return Yard(
            intake=intake,
            custody=self._custody,
            lanes=self._lanes,
            endings=self._endings,
            roused=self.roused,
        )

    # -- what its owner calls -----------------------------------------------------------------

    @property
    def held(self) -> int:
        """Count the deliveries taken in and not settled."""
        return self._custody.held

    @property
    def closed(self) -> bool:
        """Say whether what runs is being cancelled."""
        return self._slots.closed

    @property
    def busy(self) -> int:
        """Count the jobs that are being handled, published or buried, and gaps being decided."""
        return self._slots.busy + self._ordering.deciding

    @property
    def paused(self) -> Sequence[int]:
        """The handlers, by number, that rest because what they depend on is down."""
        return self._attempts.paused

    @property
    def waiting(self) -> Waiting[Job]:
        """The jobs that rest until their next attempt."""
        return self._waiting

    @property
    def next_due(self) -> float | None:
        """Monotonic time at which something is to be done next that waits for its time."""
        parts = (self._waiting, self._ordering, self._recovery)
        return min((part.next_due for part in parts if part.next_due is not None), default=None)

    @property
    def lanes(self) -> int:
        """Count the lanes with work."""
        return len(self._lanes)

    async def run(self, consumer: Consumer) -> None:
        """Pull and handle until the intake stops; raises BrokerError if it cannot go on."""
        self._custody.consumer = consumer
        async with self._ordering.watching(), self._recovery.draining():
            await self._pull(consumer)
        if self._crash is not None:
            raise self._crash

    async def _pull(self, consumer: Consumer) -> None:
        lookout = self._ordering.patience.lookout
        while wanted := await self._demand.ask():
            lookout.looks()
            deliveries = await consumer.poll(wanted)
            lookout.takes()
            if not deliveries or self._crash is not None:
                break
            reached("received")
            await self._arrival.take(deliveries)
            lookout.asks()
            self._slots.wake()
            await asyncio.sleep(0)

    def stop_intake(self) -> None:
        """Take nothing more in; what was taken in goes on."""
        if self._custody.consumer is not None:
            self._custody.consumer.stop_intake()
        self._demand.stop()

    async def drain(self) -> None:
        """Give up what has not begun, and return when what runs has ended and is settled.

        From now on nothing begins that waits for its turn. Where the broker forgets what is settled
        above something unsettled, what lies before something begun is finished first.
        """
        self._departure.close()
        if self._finish_begun:
            self._departure.drop(
                lambda received: not self._custody.lies_before_begun(received.delivery), everything
            )
            await self._slots.until(lambda: not self._slots.busy and not self._lanes.ready)
        await self._departure.leave(everything)
        self._departure.drop(everything, everything)  # what was judged anew may be held back by now
        await self._recovery.close()
        self._custody.flush()

    async def idle(self) -> None:
        """Return once nothing is held."""
        await self._custody.idle()

    async def close(self) -> None:
        """Cancel what still runs; it stays unsettled."""
        self.abort()
        await self._slots.close()
        self._custody.flush()

    def abort(self) -> None:
        """Cancel what still runs and give up the rest, now."""
        self._departure.close()
        self._recovery.abort()
        self._slots.abort()
        self._departure.drop(everything, everything)

    # -- what the consumer calls --------------------------------------------------------------

    async def revoking(self, streams: Collection[str], /) -> None:
        """Drop what has not begun of *streams*; return when what runs has ended and is settled."""
        self._arrival.leave(streams)
        try:
            await self._departure.leave(lambda received: received.delivery.stream in streams)
        finally:
            self._custody.forget(streams)
            self._custody.flush()

    def notice(self, notice: Notice, /) -> None:
        """Pass it on to the journals, and to those who wait for what is missing."""
        self._ordering.patience.lookout.notice(notice)
        self._journal.notice(notice)

    # -- running ------------------------------------------------------------------------------

    async def _advance(self, job: Job, slot: Slot, /) -> None:
        if self._finish_begun and not job.received.parked:
            self._custody.note_begun(job.received.delivery)
        handler, turns = job.handler, self._turns
        if (
            (
                job.order is not None
                or job.ending is not None
                or (job.received.rare is not None and job.received.behind is not None)
                or (turns.lines and (job.line is None or job.line in turns.lines))
            )
            and not turns.free(job)
            and not await turns.come(job)
        ):
            return
        outcome = None
        if handler is not None and job.reason is None and not job.done:
            outcome = await self._attempts.run(job, handler, slot)
        await self._handover.go_on(job, slot, outcome)

    def halt(self, job: Job, error: HandlerHalted, /) -> None:
        """Stop the service before an event that its handler must not go past."""
        self.crashed(error)
        self._departure.close()
        self._departure.drop(everything, everything)
        self.give_up(job)

    def abandoned(self, job: Job, /) -> None:
        """Give the event up: an abandoned run is never repeated beside itself."""
        if job.handler is not None:
            self._attempts.note(job, overrun(job.handler), None)
            job.reason = Reason.TIMEOUT
            self.ready_again(job)

    def freed(self) -> None:
        """Ask for more once enough room has come about, or nothing else is left to do."""
        self._demand.freed()

    def crashed(self, error: BaseException, /) -> None:
        """Stop the intake; run() raises *error*."""
        if not isinstance(error, Exception):
            error = ChoreoError(f"the worker was ended by {type(error).__name__}")
        self._crash = error
        logger.critical("the worker failed", exc_info=error)
        self.stop_intake()

    def trouble(self, job: Job, error: BaseException, /) -> None:
        """Hold the job and its lane until broker and store take what it has for them (D1)."""
        if isinstance(error, Overtaken) and job.parked is not None:
            self.give_up(job)
            return
        if isinstance(error, Overtaken) and job.order is not None:
            job.done, job.emitted, job.outbound, job.reason = False, (), (), None
            job.order.overtaken = True
            self.ready_again(job)
            return
        job.troubles += 1
        refused = isinstance(error, PublishError) and error.refused and not error.unknown
        tries = job.handler.retry.attempts if job.handler else 0
        if refused and job.reason is None and job.troubles >= tries:
            job.reason, job.error, job.outbound, job.troubles = Reason.HANDLER_ERROR, error, (), 0
            self.ready_again(job)
            return
        delay = FOREVER.backoff(job.troubles, self._random)
        names = {**job.names, "reason": job.reason, "error": named(error), "delay": delay}
        logger.warning("%s, holding on", awaited(error), extra=names)
        self.later(job, delay)

    def later(self, job: Job, seconds: float, /) -> None:
        """Let the job rest, its lane held; or leave it to others if its stream goes to them."""
        if self._departure.concerns(job.received):
            self.give_up(job)
        else:
            self._waiting.add(job, seconds)

    def resume(self, handler: Handler, /) -> None:
        """Try at once what was held back of *handler* during an outage."""
        for job in self._waiting.drop(lambda job: job.held and job.handler == handler):
            job.held = False
            self.ready_again(job)

    def roused(self) -> None:
        """Have what became ready begin."""
        self._slots.wake()

    def look(self) -> None:
        """Have the lot looked at: a line may be due."""
        self._recovery.look()

    def laid(self, job: Job, /) -> None:
        """End a job that is in the store until its number has come."""
        self._endings.end_queued(job, Outcome.PARKED)

    def unclaimed(self, job: Job, /) -> None:
        """Let those that wait for the job's end go on: it goes back to wait for its own turn."""
        self._endings.rouse_waiters(job)

    def ready_again(self, job: Job, /) -> None:
        """Let the job, which is out of its lane, have another turn."""
        self._lanes.again(job)
        self._slots.wake()

    # -- ending -------------------------------------------------------------------------------

    def give_up(self, job: Job, /) -> None:
        """Leave the job to another consumer, and with it what is behind it and goes there, too."""
        self._departure.drop_behind(job)
        job.received.dropped = True
        self._endings.end(job, Outcome.DROPPED)

    def give_up_queued(self, job: Job, /) -> None:
        """Leave a job to another consumer that its lane had not let out yet."""
        self._endings.drop_queued(job)

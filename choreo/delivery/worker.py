"""The rim of one service's consumption: pulls deliveries, runs jobs, settles what is done.

It decides nothing itself: Intake says what a delivery is, Lanes what may run, Retry when to try
again, Inbox what is a duplicate.  A delivery is settled when each of its handlers has ended with
it: handled, filtered, a duplicate, or in the dead letters with the broker's word for it.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from choreo.broker import Consumer, Notice
from choreo.delivery.burial import Burial, reason_for
from choreo.delivery.custody import Custody
from choreo.delivery.demand import Demand
from choreo.delivery.departure import Departure, everything
from choreo.delivery.inbox import Inbox
from choreo.delivery.intake import Intake
from choreo.delivery.job import Handler, Job, Outcome, Received
from choreo.delivery.journal import Journal, Journals
from choreo.delivery.lanes import Lanes
from choreo.delivery.limits import Limits
from choreo.delivery.publisher import Publisher
from choreo.delivery.slots import Slot, Slots
from choreo.delivery.waiting import Waiting
from choreo.environment import Environment
from choreo.errors import BrokerError, ChoreoError, HandlerTimeout, PublishError
from choreo.message import Delivery
from choreo.reason import Reason
from choreo.retry import FOREVER

logger = logging.getLogger(__name__)

Going = Callable[[Received], bool]
"""Tells the deliveries whose stream goes elsewhere."""


class Worker:
    """Moves deliveries from a consumer through lanes to handlers; it is the consumer's Listener."""

    def __init__(
        self,
        intake: Intake,
        publisher: Publisher,
        burial: Burial,
        limits: Limits,
        environment: Environment,
        journals: Sequence[Journal] = (),
    ) -> None:
        self._intake = intake
        self._publisher = publisher
        self._burial = burial
        self._limits = limits
        self._clock = environment.clock
        self._random = environment.random
        self._journal = Journals(journals)
        self._lanes: Lanes[Job] = Lanes()
        self._inbox: Inbox[Job] = Inbox(limits.duplicates_window)
        self._waiting: Waiting[Job] = Waiting(self._clock, self._ready_again)
        self._slots = Slots(limits.concurrency, limits.grace, self._clock, self._lanes.ready, self)
        self._custody = Custody(limits, self._journal, self.crashed)
        self._demand = Demand(limits, self._custody, self._lanes.ready, self._slots)
        self._departure = Departure(self._lanes, self._inbox, self._waiting, self._slots, self)
        self._crash: Exception | None = None

    # -- what its owner calls -----------------------------------------------------------------

    @property
    def held(self) -> int:
        """Count the deliveries taken in and not settled."""
        return self._custody.held

    @property
    def busy(self) -> int:
        """Count the jobs that are being handled, published or buried."""
        return self._slots.busy

    @property
    def waiting(self) -> Waiting[Job]:
        """The jobs that rest until their next attempt."""
        return self._waiting

    @property
    def lanes(self) -> int:
        """Count the lanes with work."""
        return len(self._lanes)

    async def run(self, consumer: Consumer) -> None:
        """Pull and handle until the intake stops; raises BrokerError if it cannot go on."""
        self._custody.consumer = consumer
        while wanted := await self._demand.ask():
            deliveries = await consumer.poll(wanted)
            if not deliveries or self._crash is not None:
                break
            for delivery in deliveries:
                self._accept(delivery)
            self._slots.wake()
            await asyncio.sleep(0)
        if self._crash is not None:
            raise self._crash

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
        if self._limits.finish_begun:
            self._departure.drop(
                lambda received: not self._custody.lies_before_begun(received.delivery), everything
            )
            await self._slots.until(lambda: not self._slots.busy and not self._lanes.ready)
        await self._departure.leave(everything)
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
        self._slots.abort()
        self._departure.drop(everything, everything)

    # -- what the consumer calls --------------------------------------------------------------

    async def revoking(self, streams: Collection[str], /) -> None:
        """Drop what has not begun of *streams*; return when what runs has ended and is settled."""
        try:
            await self._departure.leave(lambda received: received.delivery.stream in streams)
        finally:
            self._custody.forget(streams)
            self._custody.flush()

    def notice(self, notice: Notice, /) -> None:
        """Pass it on to the journals."""
        self._journal.notice(notice)

    # -- taking in ----------------------------------------------------------------------------

    def _accept(self, delivery: Delivery) -> None:
        envelope, handlers, reason, error, outcome = self._intake.sort(delivery)
        size = len(delivery.body or b"")
        received = Received(delivery, envelope, size, max(1, len(handlers)))
        if self._departure.begun and self._departure.concerns(received):
            return
        self._custody.take(received)
        for handler in handlers:
            lane = self._intake.lane(delivery, envelope, handler)
            self._lanes.add(lane, Job(received, handler, lane))
        if handlers:
            return
        lane = self._intake.lane(delivery, envelope, None)
        job = Job(received, None, lane, reason=reason, error=error)
        if outcome is not None:
            self._journal.ended(job, outcome)
            self._custody.release(received)
        else:
            self._lanes.add(lane, job)

    # -- running ------------------------------------------------------------------------------

    async def advance(self, job: Job, slot: Slot) -> None:
        """Take *job* as far as it gets: to its end, or to a wait for another attempt."""
        if self._limits.finish_begun:
            self._custody.note_begun(job.received.delivery)
        handler = job.handler
        if handler is not None and not job.decided:
            outcome = await self._attempt(job, handler, slot)
            if outcome is not None:
                self._end(job, outcome)
                return
            if slot.abandoned or not job.decided:
                return
        if slot.cancelled and not self._slots.closed:  # this slot ends, another one goes on
            self._ready_again(job)
        elif job.reason is not None and job.received.dropped:
            self.give_up(job)  # whoever has its stream now decides
        else:
            await self._deliver(job)

    async def _deliver(self, job: Job) -> None:
        """Hand over what the job has for the broker: what its handler emitted, or its burial."""
        try:
            if job.reason is not None:
                await self._burial.bury(job)
                self._end(job, Outcome.DEAD_LETTERED)
            else:
                await self._publisher.publish(job.outbound)
                self._end(job, Outcome.HANDLED)
        except BrokerError as error:
            self._trouble(job, error)
        except asyncio.CancelledError as error:
            if self._slots.closed:
                raise
            self._trouble(job, error)

    async def _attempt(self, job: Job, handler: Handler, slot: Slot) -> Outcome | None:
        """Run the handler once. None: more is to be done, now or later, as the job says."""
        key = _key(job, handler)
        if self._inbox.finished(key):
            return Outcome.DUPLICATE
        if not self._inbox.claim(key, job):
            return None
        job.attempt += 1
        job.run += 1
        run = job.run
        slot.deadline = self._clock.monotonic() + handler.deadline.total_seconds()
        try:
            outbound = await handler.process(job)
        except BaseException as error:  # the attempt: whatever a handler raises is its result
            if self._interrupts(error):
                raise
            if run == job.run:
                self._failed(job, handler, error, slot)
            return None
        finally:
            slot.deadline = None
        if run != job.run:
            return None
        if outbound is None:
            return Outcome.FILTERED
        job.outbound = outbound
        return None if outbound else Outcome.HANDLED

    def _interrupts(self, error: BaseException) -> bool:
        """Tell what is meant for the process from what is a handler's own: A4, sys.exit()."""
        if isinstance(error, asyncio.CancelledError):
            return self._slots.closed
        return isinstance(error, KeyboardInterrupt | GeneratorExit)

    def _failed(self, job: Job, handler: Handler, error: BaseException, slot: Slot) -> None:
        if slot.expired is not None and isinstance(error, asyncio.CancelledError):
            error = _overrun(handler)
        delay = handler.retry.delay_after(job.attempt, error, self._random)
        self._note_failure(job, error, delay)
        if delay is None:
            job.reason = reason_for(error, job.attempt)
        else:
            self._later(job, delay)

    def _note_failure(self, job: Job, error: BaseException, delay: float | None) -> None:
        job.error = error
        if job.first_failed is None:
            job.first_failed = self._clock.now()
        self._journal.failed(job, error, delay)

    def abandoned(self, job: Job, /) -> None:
        """Give the event up: an abandoned run is never repeated beside itself."""
        if job.handler is not None:
            self._note_failure(job, _overrun(job.handler), None)
            job.reason = Reason.TIMEOUT
            self._ready_again(job)

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

    def _trouble(self, job: Job, error: BaseException) -> None:
        """Hold the job and its lane until the broker takes what it has for it (D1)."""
        job.troubles += 1
        refused = isinstance(error, PublishError) and error.refused and not error.unknown
        tries = job.handler.retry.attempts if job.handler else 0
        if refused and job.reason is None and job.troubles >= tries:
            job.reason, job.error, job.outbound, job.troubles = Reason.HANDLER_ERROR, error, (), 0
            self._ready_again(job)
            return
        delay = FOREVER.backoff(job.troubles, self._random)
        names = {**job.names, "reason": job.reason, "error": str(error), "delay": delay}
        logger.warning("broker did not take it, holding on", extra=names)
        self._later(job, delay)

    def _later(self, job: Job, delay: float) -> None:
        if self._departure.concerns(job.received):
            self.give_up(job)
        else:
            self._waiting.add(job, delay)

    def _ready_again(self, job: Job) -> None:
        self._lanes.again(job)
        self._slots.wake()

    # -- ending -------------------------------------------------------------------------------

    def _end(self, job: Job, outcome: Outcome) -> None:
        self._journal.ended(job, outcome)
        if job.handler is not None and outcome is not Outcome.DUPLICATE:
            done = outcome is not Outcome.DEAD_LETTERED and outcome is not Outcome.DROPPED
            for waiter in self._inbox.close(_key(job, job.handler), job, done=done):
                self._ready_again(waiter)
        self._lanes.release(job.lane)
        received = job.received
        received.owed -= 1
        if not received.owed:
            self._custody.release(received)

    def give_up(self, job: Job, /) -> None:
        """Leave the job to another consumer, and with it what is behind it and goes there, too."""
        self._departure.drop_behind(job)
        job.received.dropped = True
        self._end(job, Outcome.DROPPED)

    def give_up_queued(self, job: Job, /) -> None:
        """Leave a job to another consumer that its lane had not let out yet."""
        job.received.dropped = True
        self._journal.ended(job, Outcome.DROPPED)
        received = job.received
        received.owed -= 1
        if not received.owed:
            self._custody.release(received)


def _overrun(handler: Handler) -> HandlerTimeout:
    return HandlerTimeout(f"handler {handler.plan.id} ran longer than {handler.deadline}")


def _key(job: Job, handler: Handler) -> tuple[int, str, str]:
    envelope = job.received.envelope
    assert envelope is not None  # noqa: S101 -- only sorted events reach a handler
    return (handler.index, envelope.source, envelope.id)

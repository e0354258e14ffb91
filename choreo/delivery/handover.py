"""What follows once a job is decided: what it emitted to books or broker, or its burial."""

import asyncio
from typing import Protocol

from choreo.delivery.attempts import Records
from choreo.delivery.job import Job, Outcome
from choreo.delivery.recovery import Recovery
from choreo.delivery.slots import Slot, Slots
from choreo.delivery.turns import Turns, halted
from choreo.errors import BrokerError, HandlerHalted, StoreError

HANDLED = Outcome.HANDLED


class Owner(Protocol):
    """Who holds the jobs that do not end by it."""

    def trouble(self, job: Job, error: BaseException, /) -> None:
        """Try again after a while that grows; the event is not to blame."""
        ...

    def ready_again(self, job: Job, /) -> None:
        """Let the job, which is out of its lane, have another turn."""
        ...

    def give_up(self, job: Job, /) -> None:
        """Leave the job to another consumer."""
        ...

    def halt(self, job: Job, error: HandlerHalted, /) -> None:
        """Stop the service before the job's event."""
        ...

    def roused(self) -> None:
        """Have what became ready begin."""
        ...

    def crashed(self, error: BaseException, /) -> None:
        """Hear of a bug, after which nothing may go on as if all were well."""
        ...


class Handover:
    """The last step of one worker's jobs, in their slot or, where nothing is left to do, aside."""

    def __init__(
        self,
        records: Records,
        turns: Turns,
        recovery: Recovery,
        slots: Slots,
        owner: Owner,
    ) -> None:
        self._books = records.books
        self._turns = turns
        self._recovery = recovery
        self._slots = slots
        self._owner = owner

    async def go_on(self, job: Job, slot: Slot, outcome: Outcome | None, /) -> None:
        """Go on after an attempt, if there was one; *outcome* is how it has ended the job."""
        if outcome is not None:
            if not self._turns.conclude_now(job, outcome):
                await self._turns.conclude(job, outcome)
            return
        if slot.abandoned or not job.decided:
            return
        if slot.cancelled and not self._slots.closed:  # this slot ends, another one goes on
            self._owner.ready_again(job)
        elif job.reason is not None and job.received.dropped:
            self._owner.give_up(job)  # whoever has its stream now decides
        elif not self._begins(job):
            await self._deliver(job)

    def offer(self, job: Job, slot: Slot, /) -> bool:
        """Publish what its handler emitted, as ``go_on`` would; False if that must be asked."""
        if slot.abandoned or slot.cancelled or not self._books.hand_over(job, self._told):
            return False
        self._slots.set_aside(job)
        return True

    def bury(self, job: Job, slot: Slot, /) -> bool:
        """Send the letter of what failed for good, as ``go_on`` would; False if not so soon."""
        if slot.abandoned or slot.cancelled or job.received.dropped:
            return False
        return self._begins(job)

    def _begins(self, job: Job) -> bool:
        """Publish what a handler emitted, or the job's letter, its slot set free; False if not so.

        Its lane is held until the broker has accepted it, as it would be by the slot.
        """
        if job.reason is None:
            begun = self._books.hand_over(job, self._told)
        elif self._recovery.wants(job) or halted(job) is not None:
            return False
        else:
            begun = self._turns.begin_to_bury(job, self._told)
        if begun:
            self._slots.set_aside(job)
        return begun

    async def _deliver(self, job: Job) -> None:
        """Hand over what the job has for the books or the broker: its success, or its burial."""
        try:
            if job.reason is None:
                outcome = await self._books.deliver(job)
            elif self._recovery.wants(job):
                outcome = await self._recovery.park(job) or await self._turns.bury(job)
            elif (halt := halted(job)) is not None:
                self._owner.halt(job, halt)
                return
            else:
                outcome = await self._turns.bury(job)
        except (BrokerError, StoreError) as error:
            self._owner.trouble(job, error)
        except asyncio.CancelledError as error:
            if self._slots.closed:
                raise
            self._owner.trouble(job, error)
        else:
            if outcome is None:
                self._owner.ready_again(job)
            else:
                await self._turns.conclude(job, outcome)

    def _told(self, job: Job, error: BrokerError | None) -> None:
        """Hear from the broker about a job that was set aside."""
        try:
            if self._slots.closed:  # as what is cancelled in its slot: it stays unsettled
                self._slots.returned(job)
                return
            if error is not None:
                self._owner.trouble(job, error)
            else:
                outcome = HANDLED if job.reason is None else self._turns.lettered(job)
                if not self._turns.conclude_now(job, outcome):
                    job.ending = outcome
                    self._owner.ready_again(job)
            self._slots.returned(job)
            self._owner.roused()
        except Exception as failure:  # noqa: BLE001 -- in the publisher's task: a bug of ours, not its
            self._owner.crashed(failure)

"""Taking deliveries in: what each is, what is known of it, and in which lanes it waits."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random

from choreo.delivery.attempts import Records
from choreo.delivery.condemned import absolve, condemn
from choreo.delivery.custody import Custody
from choreo.delivery.demand import Demand
from choreo.delivery.departure import Departure
from choreo.delivery.intake import Intake
from choreo.delivery.job import Job, Outcome, Received
from choreo.delivery.journal import Journal
from choreo.delivery.ordering import Ordering
from choreo.delivery.recovery import Recovery
from choreo.errors import RegistryError, StoreError
from choreo.failpoints import armed, reached
from choreo.message import Delivery
from choreo.retry import FOREVER

logger = logging.getLogger(__name__)

Sorted = tuple[Received, Sequence[Job], Outcome | None]
"""A delivery, its jobs, and how it ended if nothing is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Who decides whether a delivery is taken in at all."""

    custody: Custody
    demand: Demand
    departure: Departure


class Arrival:
    """The way in of one worker."""

    def __init__(
        self,
        intake: Intake,
        records: Records,
        bounds: Bounds,
        ordering: Ordering,
        recovery: Recovery,
        journal: Journal,
        random: Random,
    ) -> None:
        self._intake = intake
        self._books = records.books
        self._inbox = records.inbox
        self._custody = bounds.custody
        self._demand = bounds.demand
        self._departure = bounds.departure
        self._ordering = ordering
        self._recovery = recovery
        self._guard = records.guard
        self._journal = journal
        self._random = random
        self._asking: Sequence[Received] = ()

    async def take(self, deliveries: Sequence[Delivery]) -> None:
        """Take a batch in, once the store, if there is one, has told what it knows of it."""
        if not self._books.durable and not self._ordering.wanted:
            self._take_at_once(deliveries)
            return
        batch = [self._sort(delivery) for delivery in deliveries]
        self._asking = [received for received, _, _ in batch]
        known = await self._recall([job for _, jobs, _ in batch for job in jobs])
        self._asking = ()
        reached("recalled")
        if known:
            for received, jobs, outcome in batch:
                if not received.dropped:
                    self._accept(received, jobs, outcome)
                elif self._guard is not None:
                    self._guard.left_out(received)

    def leave(self, streams: Collection[str]) -> None:
        """Drop what is about to be taken in of *streams*: they go to another consumer."""
        for received in self._asking:
            if received.delivery.stream in streams:
                received.dropped = True

    def _take_at_once(self, deliveries: Sequence[Delivery]) -> None:
        """Take in what no store is asked about: most have one handler, and no story."""
        if self._departure.begun:
            for delivery in deliveries:
                self._accept(*self._sort(delivery))
            return
        join = self._ordering.lanes.add
        taken: list[Received] = []
        for delivery, job in zip(deliveries, self._intake.plain(deliveries), strict=True):
            if job is None:
                self._accept(*self._sort(delivery))
                continue
            taken.append(job.received)
            join(job.lane, job)
            if armed:
                reached("accepted")
        self._custody.take_all(taken)

    def _sort(self, delivery: Delivery) -> Sorted:
        condemned = None if self._guard is None else self._guard.condemned(delivery)
        envelope, handlers, reason, error, outcome, replay = self._intake.sort(delivery)
        delivery = replay or delivery
        received = Received(delivery, envelope, len(delivery.body or b""), max(1, len(handlers)))
        if replay is not None:
            received.generation, received.forced = replay.generation, replay.forced
            received.behind = replay.behind
        lane: Callable[..., object] = self._intake.lane
        jobs = [Job(received, handler, lane(delivery, envelope, handler)) for handler in handlers]
        if condemned is not None:
            condemn(jobs, condemned)
        if not jobs:
            lone = lane(delivery, envelope, None)
            job = Job(received, None, lone)
            job.reason, job.error = reason, error
            jobs.append(job)
        return received, jobs, outcome

    async def _recall(self, jobs: Sequence[Job]) -> bool:
        """Ask until there is an answer; False if the service stops before there is one.

        What was not taken in by then is handed over again.
        """
        tries, departed = 0, False
        while True:
            try:
                if self._guard is not None and not departed:
                    await self._guard.depart(self._asking)
                    departed = True
                    reached("boarded")
                await self._books.recall(jobs)
                if self._guard is not None:
                    absolve(jobs, self._inbox)
                await self._ordering.learn(jobs)
                await self._recovery.learn(jobs)
            except (StoreError, RegistryError) as error:
                tries += 1
                delay = FOREVER.backoff(tries, self._random)
                names = {"error": str(error), "delay": delay}
                what = "registry" if isinstance(error, RegistryError) else "store"
                logger.warning("%s cannot be asked, taking nothing in", what, extra=names)
                if not await self._demand.rest(delay):
                    return False
            else:
                return True

    def _accept(self, received: Received, jobs: Sequence[Job], outcome: Outcome | None) -> None:
        if self._departure.begun and self._departure.concerns(received):
            if self._guard is not None:
                self._guard.left_out(received)
            return
        self._custody.take(received)
        if outcome is not None:
            self._journal.ended(jobs[0], outcome)
            self._custody.release(received)
            return
        for job in jobs:
            self._ordering.admit(job)
        reached("accepted")

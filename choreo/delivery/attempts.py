"""One attempt at a time: run the handler, and decide what its failure leads to.

Whatever a handler raises is its result.  What the store raises is not the handler's fault: no
attempt is counted, and the event is tried again until the store is back.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from choreo.broker import Notice
from choreo.dead_letter import error_text
from choreo.delivery.books import Books, id_conflict
from choreo.delivery.burial import reason_for
from choreo.delivery.guard import Guard
from choreo.delivery.inbox import Inbox, name_of, replay_of
from choreo.delivery.job import Handler, Job, Outcome, Received
from choreo.delivery.journal import Journal
from choreo.delivery.limits import Limits
from choreo.delivery.outage import Outage, cause_of
from choreo.delivery.parking import line_for
from choreo.delivery.sequencing import Sequencing, unsequenced
from choreo.delivery.slots import Slot
from choreo.environment import Environment
from choreo.errors import HandlerTimeout, RegistryError, StoreError, VersionHeld
from choreo.reason import Reason
from choreo.registry.port import SchemaPending
from choreo.store.lot import Lot
from choreo.store.port import Key

BLAMED = 64
"""Failures of one handler that may turn out to be an outage's."""
BLAMELESS = (StoreError, SchemaPending, VersionHeld)
"""What an event and its handler are not to blame for."""
HELD = 30.0
"""Seconds after which a held event is looked at again: its contract may have come."""


class Owner(Protocol):
    """Who holds the jobs between attempts."""

    @property
    def closed(self) -> bool:
        """Say whether what runs is being cancelled, as the service stops."""
        ...

    def later(self, job: Job, seconds: float, /) -> None:
        """Try again after a while."""
        ...

    def trouble(self, job: Job, error: BaseException, /) -> None:
        """Try again after a while that grows; the event is not to blame."""
        ...

    def resume(self, handler: Handler, /) -> None:
        """Try at once what was held back of *handler*."""
        ...


Run = Callable[[Job, Handler, Slot], Awaitable[Outcome | None]]


def _present(_: BaseException) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Where a worker looks up and writes down what became of events."""

    books: Books
    inbox: Inbox[Job]
    """The part that is in memory."""
    absent: Callable[[BaseException], bool] = _present
    """Tells the store's absence in what a handler raised within its transaction."""
    sequencing: Sequencing = field(default_factory=unsequenced)
    guard: Guard | None = None
    """Keeps events apart that may have killed a process; None without a store."""
    lot: Lot | None = None
    """Where failed events are parked, with their key's later ones; None if no handler parks any."""


class Attempts:
    """Takes jobs through attempts."""

    def __init__(
        self,
        records: Records,
        limits: Limits,
        environment: Environment,
        journal: Journal,
        owner: Owner,
    ) -> None:
        self._books = records.books
        self._durable = records.books.durable
        self._inbox = records.inbox
        self._guard = records.guard
        self._absent = records.absent
        self._clock = environment.clock
        self._random = environment.random
        self._journal = journal
        self._owner = owner
        self._limits = limits
        self.outages: dict[int, Outage] = {}
        """What is or was down lately, by the number of the handler that depends on it."""
        self._held: set[tuple[int, object]] = set()
        self._blamed: dict[int, deque[tuple[Hashable, Job]]] = {}
        """What failed, and of what, since a handler's failures are remembered."""
        self.run: Run = self._run if records.guard is None else self._guarded
        """Runs the handler once. None: more is to be done, now or later, as the job says."""

    @property
    def paused(self) -> Sequence[int]:
        """The handlers, by number, that rest because of an outage."""
        return [index for index, outage in self.outages.items() if outage.cause is not None]

    def _guarded(self, job: Job, handler: Handler, slot: Slot) -> Awaitable[Outcome | None]:
        """Run what may have killed a process when nothing else does."""
        guard = self._guard
        if guard is None or not guard.guards(job):
            return self._run(job, handler, slot)
        return self._run_alone(job, handler, slot, guard)

    async def _run_alone(
        self, job: Job, handler: Handler, slot: Slot, guard: Guard
    ) -> Outcome | None:
        try:
            await guard.enter(job)
        except StoreError as error:
            self._owner.trouble(job, error)
            return None
        try:
            return await self._run(job, handler, slot)
        finally:
            guard.leave(job)

    async def _run(self, job: Job, handler: Handler, slot: Slot) -> Outcome | None:
        outage = self.outages.get(handler.index) if self.outages else None
        key = key_of(job, handler)
        # Nearly all are neither finished nor another's, which one look tells.
        begun = job.received.rare is None and self._inbox.begins(name_of(key), job)
        if not begun and finished(self._inbox, key, job.received):
            return self._duplicate(job, key)
        if not (begun or self._inbox.claim(key, job)) or (
            outage is not None and self._holds(job, outage)
        ):
            return None
        job.attempt += 1
        run = job.run = job.run + 1
        slot.deadline = self._clock.monotonic() + handler.seconds
        try:
            outcome = await handler.process(job)
        except BaseException as error:  # the attempt: whatever a handler raises is its result
            if self.interrupts(error):
                raise
            rest = self.failed(job, handler, error, slot) if run == job.run else None
            if rest is not None:
                await rest
            return None
        finally:
            slot.deadline = None
        if run != job.run or job.reason is not None:
            return None
        if outage is not None:
            self.succeeded(handler, outage)
        if outcome is None and not job.outbound and not self._durable:
            return Outcome.HANDLED
        return outcome

    def _duplicate(self, job: Job, key: Key) -> Outcome | None:
        """Tell a second delivery from another event that bears the same id (I10)."""
        if job.received.generation and not self._inbox.finished(key):
            return Outcome.DUPLICATE
        envelope = job.received.envelope
        assert envelope is not None  # noqa: S101 -- only sorted events reach a handler
        if self._inbox.fingerprint(key) == self._books.fingerprint(job):
            return Outcome.DUPLICATE
        job.reason = Reason.ID_CONFLICT
        job.error = id_conflict(envelope)
        return None

    def interrupts(self, error: BaseException) -> bool:
        """Tell what is meant for the process from what is a handler's own: A4, sys.exit()."""
        if isinstance(error, asyncio.CancelledError):
            return self._owner.closed
        return isinstance(error, KeyboardInterrupt | GeneratorExit)

    def failed(
        self, job: Job, handler: Handler, error: BaseException, slot: Slot
    ) -> Awaitable[None] | None:
        """Decide what follows from *error*, which ended an attempt; tell what is to be awaited."""
        job.done, job.emitted, job.outbound = False, (), ()
        transacted = handler.plan.transaction is not None
        if isinstance(error, BLAMELESS) or (transacted and self._absent(error)):
            return self._excused(job, handler, error, slot)
        if slot.expired is not None and isinstance(error, asyncio.CancelledError):
            error = overrun(handler)
        if self._limits.outage_keys:
            new = self._is_outage(job, handler, error)
            if new is not None:
                return self._take_back(handler, cause_of(error), slot) if new else None
        delay = handler.retry.delay_after(job.attempt, error, self._random)
        if self._durable and delay is not None:
            return self._written(job, error, delay, slot)
        self._decided(job, error, delay)
        return None

    async def _written(self, job: Job, error: BaseException, delay: float, slot: Slot) -> None:
        slot.deadline = None
        job.first_failed = job.first_failed or self._clock.now()
        await self._books.failed(job)
        self._decided(job, error, delay)

    def _decided(self, job: Job, error: BaseException, delay: float | None) -> None:
        self.note(job, error, delay)
        if delay is None:
            job.reason = reason_for(error, job.attempt)
        else:
            self._owner.later(job, delay)

    def _excused(
        self, job: Job, handler: Handler, error: BaseException, slot: Slot
    ) -> Awaitable[None] | None:
        """Count no attempt where neither event nor handler is to blame."""
        if isinstance(error, SchemaPending):
            return self._fetch(job, error, slot)
        if isinstance(error, VersionHeld):
            self._hold_version(job, handler, error)
            return None
        job.attempt -= 1
        self._owner.trouble(job, error)
        return None

    async def _fetch(self, job: Job, pending: SchemaPending, slot: Slot) -> None:
        """Ask the registry for what the event was written by; its handler has not seen it yet."""
        job.attempt -= 1
        slot.deadline = None
        try:
            await pending.fetch()
        except RegistryError as error:
            self._owner.trouble(job, error)
        else:
            self._owner.later(job, 0.0)

    def _hold_version(self, job: Job, handler: Handler, error: VersionHeld) -> None:
        """Let an event rest with its key until a service comes that reads its version."""
        job.attempt -= 1
        kind = job.names["event_type"]
        if (handler.index, kind) not in self._held:
            self._held.add((handler.index, kind))
            text = f"handler {handler.plan.id} holds events of a newer version: {error}"
            self._journal.notice(Notice(kind="version_held", text=text))
        self._owner.later(job, HELD)

    def _is_outage(self, job: Job, handler: Handler, error: BaseException) -> bool | None:
        """Blame what many events share, if it is down, and let the handler rest.

        True if it was found out just now, False if it was known, None if it is not down.
        """
        outage = self.outages.get(handler.index)
        if outage is None:
            outage = self.outages[handler.index] = Outage(
                self._limits.outage_keys, self._limits.outage_limit.total_seconds()
            )
        began, cause = outage.cause is None, cause_of(error)
        if not outage.failed(_lane_of(job), cause, self._clock.monotonic()):
            self._blamed.setdefault(handler.index, deque(maxlen=BLAMED)).append((cause, job))
            return None
        job.attempt -= 1
        self._hold(job, outage)
        if began:
            text = f"handler {handler.plan.id} rests: many keys fail alike ({error_text(error)})"
            self._journal.notice(Notice(kind="handler_paused", text=text))
        return began

    async def _take_back(self, handler: Handler, cause: Hashable, slot: Slot) -> None:
        """Count no attempt by which the outage was found out: it may be found out in many lives."""
        blamed = self._blamed.pop(handler.index, ())
        jobs = [job for why, job in blamed if why == cause and job.reason is None and job.attempt]
        for job in jobs:
            job.attempt -= 1
        if jobs and self._durable:
            slot.deadline = None
            await self._books.taken_back(jobs)

    def _holds(self, job: Job, outage: Outage) -> bool:
        job.held = not outage.admits(self._clock.monotonic(), fresh=job.run == 0)
        if job.held:
            self._hold(job, outage)
        return job.held

    def _hold(self, job: Job, outage: Outage) -> None:
        job.held = True
        self._owner.later(job, outage.rest(self._clock.monotonic()))

    def succeeded(self, handler: Handler, outage: Outage) -> None:
        """Count a success beside the failures of *handler* that are remembered."""
        if outage.succeeded():
            self._resume(handler)
        if outage.well and self.outages.get(handler.index) is outage:
            del self.outages[handler.index]
            self._blamed.pop(handler.index, None)

    def _resume(self, handler: Handler) -> None:
        text = f"handler {handler.plan.id} goes on: an event succeeded again"
        self._journal.notice(Notice(kind="handler_resumed", text=text))
        self._owner.resume(handler)

    def note(self, job: Job, error: BaseException, delay: float | None) -> None:
        """Write down that an attempt failed."""
        job.error = error
        if job.first_failed is None:
            job.first_failed = self._clock.now()
        self._journal.failed(job, error, delay)


def overrun(handler: Handler) -> HandlerTimeout:
    """Say that *handler* ran too long."""
    return HandlerTimeout(f"handler {handler.plan.id} ran longer than {handler.deadline}")


def finished(inbox: Inbox[Job], key: Key, received: Received) -> bool:
    """Say whether there is nothing to do; a replay is finished also if it failed once more."""
    if received.rare is None:
        return inbox.finished(key)
    if received.generation and inbox.finished(replay_of(key, received.generation)):
        return True
    return inbox.finished(key) and not received.forced


def key_of(job: Job, handler: Handler) -> Key:
    """Name the job's share of its event."""
    key = job.key
    if key is None:
        envelope = job.received.envelope
        assert envelope is not None  # noqa: S101 -- only sorted events reach a handler
        key = job.key = (handler.index, envelope.source, envelope.id)
    return key


def _lane_of(job: Job) -> Hashable:
    """Name what keeps the job in order, by one name for a key whether it is parked or not."""
    if job.parked is not None:
        return job.parked.line.line
    parks = job.handler is not None and job.handler.park is not None
    return line_for(job) if parks else job.lane

"""The books of a service with a store: ends, attempts and leases outlive the process.

Theory of operation.  A batch of deliveries is looked up in one query before it is handled, and what
has ended is remembered in memory from then on, so that a duplicate costs no transaction.  That look
is a short cut and decides nothing: an end is written under a unique constraint, and of two
processes that come with the same event the second is told so (O13).  A handler that asked for the
transaction runs within it, and claims first; any other has its end written afterwards, together
with those of its neighbours.  What a failed commit leaves unknown is found out by the next attempt,
whose claim is then a duplicate (O12).
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from choreo.clock import Clock
from choreo.delivery.books import id_conflict
from choreo.delivery.inbox import Inbox, replay_of
from choreo.delivery.job import Job, Outcome
from choreo.delivery.leases import Leases
from choreo.delivery.publisher import Told
from choreo.delivery.tracing import Outbound, followed
from choreo.errors import ClaimedElsewhere, Overtaken, StoreError
from choreo.failpoints import armed, reached
from choreo.reason import Reason
from choreo.store.lot import Ticket
from choreo.store.port import Attempt, Claim, Effect, End, Key, Known, Ledger, State, Verdict
from choreo.store.streams import Advance

logger = logging.getLogger(__name__)

FINGERPRINT = 16
"""Bytes that tell two payloads apart."""
NO_DATA = b"\0"
"""Stands for an absent payload, which is not an empty one."""


class DurableBooks:
    """The books of one service in one store."""

    durable = True

    def __init__(
        self,
        ledger: Ledger[Any],
        inbox: Inbox[Job],
        leases: Leases,
        clock: Clock,
        relay: Callable[[], None],
    ) -> None:
        """Call *relay* whenever something is, or may be, in the outbox."""
        self._ledger = ledger
        self._inbox = inbox
        self._leases = leases
        self._clock = clock
        self._relay = relay

    def fingerprint(self, job: Job, /) -> bytes:
        """Hash the payload so that no other is found for it (BLAKE2b, RFC 7693)."""
        found = job.fingerprint
        if found is None:
            envelope = job.received.envelope
            assert envelope is not None  # noqa: S101 -- only sorted events reach a handler
            data = NO_DATA if envelope.data is None else envelope.data
            found = job.fingerprint = blake2b(data, digest_size=FINGERPRINT).digest()
        return found

    async def recall(self, jobs: Sequence[Job], /) -> None:
        """Look up in one query what earlier processes, or others, know of *jobs*."""
        wanted = {key: job for job in jobs if (key := key_of(job)) is not None}
        unknown = [
            key
            for key, job in wanted.items()
            if (job.received.rare is not None and job.received.generation)
            or not self._inbox.finished(key)
        ]
        if not unknown:
            return
        for key, known in (await self._ledger.recall(unknown)).items():
            self._learn(wanted[key], key, known)

    def _learn(self, job: Job, key: Key, known: Known) -> None:
        if known.state is State.OPEN:
            job.attempt = known.attempts
            job.first_failed = known.first_failed
            if job.received.generation:  # it was done once, and is replayed by force
                self._inbox.forget(key)
        elif known.state in (State.DONE, State.DEAD):
            received = job.received
            if received.generation > known.generation and (
                known.state is State.DEAD or received.forced
            ):
                self._inbox.forget(key)
                return
            if 0 < received.generation <= known.generation:
                self._inbox.remember(replay_of(key, received.generation), known.fingerprint)
            self._inbox.remember(key, known.fingerprint)
            self._relay()  # an owner may have died before it published what it emitted (I15)

    async def lease(self, job: Job, /) -> Outcome | None:
        """Hold the job against other processes while its handler runs."""
        if job.lease is not None:
            return None
        handler = job.handler
        if handler is None or handler.plan.options.lease is None:
            return None
        held = await self._leases.take(self.claim(job), handler.plan.options.lease)
        if isinstance(held, Verdict):
            return self._judge(job, held)
        job.lease = held
        reached("leased")
        return None

    def claim(self, job: Job, /) -> Claim:
        """Make the wish to handle a job, now."""
        key, received = key_of(job), job.received
        assert key is not None  # noqa: S101 -- only sorted events reach a handler
        purpose = None if job.rare is None else job.purpose
        claim = Claim(
            key=key, fingerprint=self.fingerprint(job), at=self._clock.now(), purpose=purpose
        )
        if received.rare is not None:
            claim.generation, claim.forced = received.generation, received.forced
        return claim

    def effect(self, claim: Claim, /) -> AbstractAsyncContextManager[Effect[Any]]:
        """Open the transaction and claim in it."""
        return self._ledger.effect(claim)

    async def complete(self, job: Job, claim: Claim, effect: Effect[Any], /) -> Outcome | None:
        """Write the job's end in its own transaction."""
        if effect.verdict is not Verdict.WRITTEN:
            return self._judge(job, effect.verdict)
        if armed:
            reached("ending")
        return self._judge(job, await effect.complete(self._end(job, claim)))

    def hand_over(self, job: Job, told: Told[Job], /) -> bool:  # noqa: ARG002 -- as the port has it
        """Begin nothing: an end is written together with others, which is awaited."""
        return False

    async def deliver(self, job: Job, /) -> Outcome | None:
        """Write the job's end and all that it emitted, with those of its neighbours."""
        sending = job.outbound.sending if isinstance(job.outbound, Outbound) else None
        reached("ending")
        writing = self._ledger.finish((self._end(job, self.claim(job)),))
        if sending is None:
            verdicts = await writing
        else:
            verdicts = await followed(sending, writing)
        self._leases.forget(job.lease)
        outcome = self._judge(job, verdicts[0])
        self.committed(job)
        return outcome

    def let_go(self, job: Job, /) -> None:
        """Renew no lease of a job that this process has given up: it runs out for others."""
        self._leases.forget(job.lease)

    def committed(self, job: Job, /) -> None:
        """Have what the job wrote published soon."""
        if armed:
            reached("committed")
        if job.outbound:
            self._relay()

    async def failed(self, job: Job, /) -> None:
        """Note the attempt, so that a restart goes on counting (D13)."""
        lease, job.lease = job.lease, None
        reached("failing")
        try:
            if lease is not None:
                await self._leases.give_back(lease)
            await self._ledger.note((self._attempt(job),))
            reached("noted")
        except StoreError as error:
            names = {**job.names, "error": str(error)}
            logger.warning("a failed attempt could not be noted", extra=names)

    async def taken_back(self, jobs: Sequence[Job], /) -> None:
        """Note that of each of *jobs* one attempt that was noted does not count."""
        try:
            await self._ledger.note(
                [replace(self._attempt(each), taken_back=True) for each in jobs]
            )
        except StoreError as error:
            logger.warning("attempts could not be taken back", extra={"error": str(error)})

    async def buried(self, job: Job, /) -> None:
        """Note the end in the dead letters; an id that is another event's stays that event's."""
        if key_of(job) is not None and job.reason is not Reason.ID_CONFLICT:
            # A stream that another owner has moved meanwhile is not this end's to move any more.
            for step in (_step(job), None):
                end = End(
                    claim=self.claim(job), state=State.DEAD, advance=step, parked=_ticket(job)
                )
                if (await self._ledger.finish((end,)))[0] is not Verdict.MOVED:
                    break
            if job.order is not None:
                job.order.step = None
        self._leases.forget(job.lease)

    async def failed_again(self, key: Key, generation: int, /) -> bool:
        """Ask what became of an event, after whatever other processes know of it."""
        known = (await self._ledger.recall([key])).get(key)
        return known is not None and known.state is State.DEAD and known.generation >= generation

    def _judge(self, job: Job, verdict: Verdict) -> Outcome | None:
        if verdict is Verdict.WRITTEN:
            return Outcome.HANDLED
        if verdict is Verdict.MOVED:
            raise Overtaken("its stream, or its place in the lot, is another's by now")
        if verdict is Verdict.DUPLICATE:
            self._relay()
            return Outcome.DUPLICATE
        if verdict is Verdict.CONFLICT:
            job.reason = Reason.ID_CONFLICT
            job.error = id_conflict(job.received.envelope)
            return None
        job.lease = None
        raise ClaimedElsewhere(f"another process is at this event ({verdict.value}): trying again")

    def _end(self, job: Job, claim: Claim) -> End:
        lease = None if job.rare is None else job.lease
        return End(
            claim=claim,
            emitted=job.emitted,
            advance=_step(job),
            fence=None if lease is None else lease.fence,
            parked=_ticket(job),
        )

    def _attempt(self, job: Job) -> Attempt:
        first = job.first_failed or self._clock.now()
        return Attempt(claim=self.claim(job), attempts=job.attempt, first_failed=first)


def key_of(job: Job) -> Key | None:
    """Name the job's share of its event; None for what has no handler."""
    envelope = job.received.envelope
    if job.handler is None or envelope is None:
        return None
    return (job.handler.index, envelope.source, envelope.id)


def _step(job: Job) -> Advance | None:
    return None if job.order is None else job.order.step


def _ticket(job: Job) -> Ticket | None:
    return None if job.parked is None else job.parked.ticket

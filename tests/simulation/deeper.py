"""More mistakes to be found, each in the small world that has what it breaks."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from choreo import bookkeeping
from choreo.delivery import slots
from choreo.delivery.attempts import Attempts
from choreo.delivery.burial import Burial
from choreo.delivery.custody import Custody
from choreo.delivery.durable import DurableBooks, key_of
from choreo.delivery.job import Handler, Job, Outcome, Received
from choreo.delivery.lookout import Lookout
from choreo.delivery.ordering import Ordering
from choreo.delivery.slots import Slot
from choreo.errors import BrokerError, StoreError
from choreo.message import Delivery
from choreo.store.memory.books import Books, Scope
from choreo.store.memory.ledger import MemoryEffect, MemoryLedger
from choreo.store.memory.outbox import Shelves
from choreo.store.port import Claim, End, State, Verdict
from choreo.testing.simulation.consumer import AGAIN, SimulatedConsumer
from choreo.testing.simulation.store import Opened, Sharing
from choreo.testing.simulation.subscriber import SimulatedSubscriber
from tests.simulation.mutants import Mutant

FIRST = "claimed first"


def claims_first(patch: pytest.MonkeyPatch) -> None:
    """Write down that an event is done, and then do it (O2)."""
    run, judge, write = Attempts._run, Books.judge, Books.write

    async def claim_first(self: MemoryLedger, claim: Claim) -> None:
        row = self._books._take(next(iter(self._scope.rows(claim))), claim)
        if row.state is State.OPEN:
            row.state, row.ended, row.owner = State.DONE, claim.at, FIRST

    async def mutant(self: Attempts, job: Job, handler: Handler, slot: Slot) -> Outcome | None:
        kept: Any = self._books
        if isinstance(kept, DurableBooks) and not self._inbox.finished(key_of(job) or (0, "", "")):
            ledger: Any = kept._ledger
            with suppress(StoreError):
                await ledger.claim_first(kept.claim(job))
        return await run(self, job, handler, slot)

    def tolerant(self: Books, scope: Scope, claim: Claim, fence: int | None) -> Verdict:
        row = self.rows.get(next(iter(scope.rows(claim))))
        if row is not None and row.owner == FIRST:
            return Verdict.WRITTEN
        return judge(self, scope, claim, fence)

    def clear(self: Books, scope: Scope, end: End) -> None:
        write(self, scope, end)
        self.rows[next(iter(scope.rows(end.claim)))].owner = ""

    patch.setattr(MemoryLedger, "claim_first", claim_first, raising=False)
    patch.setattr(Attempts, "_run", mutant)
    patch.setattr(Books, "judge", tolerant)
    patch.setattr(Books, "write", clear)


def records_after_the_effect(patch: pytest.MonkeyPatch) -> None:
    """Commit the effect, and in another transaction that the event is done (O1)."""
    deliver, write = DurableBooks.deliver, Books.write

    async def record(self: MemoryLedger, claim: Claim) -> None:
        row = self._books._take(next(iter(self._scope.rows(claim))), claim)
        row.state, row.ended = State.DONE, claim.at

    async def mutant(self: DurableBooks, job: Job, /) -> Outcome | None:
        outcome = await deliver(self, job)
        ledger: Any = self._ledger
        with suppress(StoreError):
            await ledger.record(self.claim(job))
        return outcome

    def effect_only(self: Books, scope: Scope, end: End) -> None:
        write(self, scope, end)
        if end.state is State.DONE:
            row = self.rows[next(iter(scope.rows(end.claim)))]
            row.state, row.ended = State.OPEN, None

    patch.setattr(MemoryLedger, "record", record, raising=False)
    patch.setattr(DurableBooks, "deliver", mutant)
    patch.setattr(Books, "write", effect_only)


def dedupes_before_reordering(patch: pytest.MonkeyPatch) -> None:
    """Take for a duplicate what came before, though it only waited for its turn (R5)."""
    admit = Ordering.admit
    seen: WeakKeyDictionary[Ordering, set[object]] = WeakKeyDictionary()

    def mutant(self: Ordering, job: Job) -> None:
        known, key = seen.setdefault(self, set()), key_of(job)
        if job.order is not None and key in known:
            job.order, job.ending = None, Outcome.DUPLICATE
        known.add(key)
        admit(self, job)

    patch.setattr(Ordering, "admit", mutant)


def acknowledges_on_another_connection(patch: pytest.MonkeyPatch) -> None:
    """Acknowledge by a packet id of a connection that is gone (M3)."""
    read, settle = SimulatedSubscriber._read, SimulatedSubscriber.settle
    given: WeakKeyDictionary[SimulatedSubscriber, dict[int, int]] = WeakKeyDictionary()

    def remember(self: SimulatedSubscriber) -> None:
        read(self)
        numbered = enumerate(self._mids, start=self._sent)
        given.setdefault(self, {}).update(numbered)

    async def acknowledge(self: SimulatedSubscriber, mid: int) -> None:
        group = self._subscription.group
        session = self._sessions._sessions.get(group)
        if session is not None:
            await self._sessions.acknowledge(group, session.epoch, [mid])

    def mutant(self: SimulatedSubscriber, deliveries: Sequence[Delivery], /) -> None:
        for delivery in deliveries:
            if delivery.epoch != self._epoch:
                mid = given[self][delivery.position]
                work = self._wire.call(partial(acknowledge, self, mid))
                self._spawn(_quietly(work), "late acknowledgement")
        settle(self, deliveries)

    patch.setattr(SimulatedSubscriber, "_read", remember)
    patch.setattr(SimulatedSubscriber, "settle", mutant)


async def _quietly(work: Any) -> None:  # noqa: ANN401 -- of a call whose answer nobody wants
    with suppress(BrokerError):
        await work


def settles_for_a_duplicate(patch: pytest.MonkeyPatch) -> None:
    """Settle an event that is being handled, because it came once more (I4)."""
    take, release = Custody.take, Custody.release
    open_: WeakKeyDictionary[Custody, dict[object, Received]] = WeakKeyDictionary()

    def mutant(self: Custody, received: Received) -> None:
        take(self, received)
        if received.envelope is not None:
            key = (received.envelope.source, received.envelope.id)
            other = open_.setdefault(self, {}).setdefault(key, received)
            if other is not received and self.consumer is not None:
                self.consumer.settle([other.delivery, received.delivery])

    def forget(self: Custody, received: Received) -> None:
        if received.envelope is not None:
            key = (received.envelope.source, received.envelope.id)
            open_.setdefault(self, {}).pop(key, None)
        release(self, received)

    patch.setattr(Custody, "take", mutant)
    patch.setattr(Custody, "release", forget)


def waits_for_no_letter(patch: pytest.MonkeyPatch) -> None:
    """Send a dead letter, and go on before the broker has it (D1)."""
    bury = Burial.bury

    async def mutant(self: Burial, job: Job) -> None:
        work = _quietly(bury(self, job))
        asyncio.get_running_loop().create_task(work).add_done_callback(lambda _: None)

    patch.setattr(Burial, "bury", mutant)


def skips_without_a_record(patch: pytest.MonkeyPatch) -> None:
    """Let go of what comes after its number was given up, and tell nobody (R6)."""

    def mutant(self: Ordering, job: Job) -> Outcome | None:
        assert job.order is not None
        job.order.past = None
        return Outcome.DUPLICATE

    patch.setattr(Ordering, "late", mutant)


def winds_timers_at_once(patch: pytest.MonkeyPatch) -> None:
    """Write what is to be published later before the transaction that decides it (T9)."""
    complete = MemoryEffect.complete

    async def mutant(self: MemoryEffect, end: End, /) -> Verdict:
        delayed = tuple(one for one in end.emitted if one.delay is not None)
        for part in self._books.parts:
            if isinstance(part, Shelves):
                part.write(self._scope, replace(end, emitted=delayed))
        return await complete(self, end)

    patch.setattr(MemoryEffect, "complete", mutant)


def keeps_the_context(patch: pytest.MonkeyPatch) -> None:
    """Handle an event in the context that another has left (A10)."""

    def mutant(_: object) -> bool:
        return False

    patch.setattr(slots, "_differs", mutant)


def forgets_too_soon(patch: pytest.MonkeyPatch) -> None:
    """Forget what is done before the broker has handed it over for the last time (I3)."""

    def mutant(*_: object) -> timedelta:
        return timedelta(milliseconds=100)

    patch.setattr(bookkeeping, "retention", mutant)
    patch.setattr(bookkeeping, "SWEEP", timedelta(milliseconds=200))


def tells_before_a_shared_commit(patch: pytest.MonkeyPatch) -> None:
    """Count an event as ended when its handler is, though others share its transaction (O2)."""
    join = Sharing.join

    def mutant(self: Sharing, opened: Opened) -> asyncio.Future[None]:
        ended = join(self, opened)
        if len(self.members) > 1:
            ended.set_result(None)
        return ended

    patch.setattr(Sharing, "join", mutant)


def commits_as_whoever_it_is_by_now(patch: pytest.MonkeyPatch) -> None:
    """Commit in the membership of now: in none at all, which an empty group takes (K10)."""

    def mutant(self: SimulatedConsumer, handled: int) -> int:
        return self._group.generation(self)

    patch.setattr(SimulatedConsumer, "_generation", mutant)


def repeats_a_commit_in_a_later_membership(patch: pytest.MonkeyPatch) -> None:
    """Send a commit again that had no answer, as whoever it is by then (K10)."""

    async def mutant(self: SimulatedConsumer) -> None:
        async with self._committing:
            self._dirty = False
            places = {stream: self._place(reader) for stream, reader in self._readers.items()}
            while places:
                generation = self._group.generation(self)
                try:
                    await self._wire.call(partial(self._group.commit, self, generation, places))
                except BrokerError:
                    await asyncio.sleep(AGAIN)
                else:
                    break

    patch.setattr(SimulatedConsumer, "_commit", mutant)


def takes_an_outage_for_silence(patch: pytest.MonkeyPatch) -> None:
    """Have patience run out with what may lie at a broker that is out of reach."""

    def mutant(*_: object) -> None:
        return

    patch.setattr(Lookout, "notice", mutant)


DEEPER: dict[Mutant, tuple[str, set[str]]] = {
    claims_first: ("till", {"no_loss"}),
    records_after_the_effect: ("till", {"no_duplicate_effect"}),
    dedupes_before_reordering: ("meters", {"no_loss"}),
    acknowledges_on_another_connection: ("cuts", {"no_loss"}),
    settles_for_a_duplicate: ("storms", {"no_loss"}),
    waits_for_no_letter: ("storms", {"letters_conserved"}),
    skips_without_a_record: ("meters", {"no_loss"}),
    winds_timers_at_once: ("reminders", {"committed_first"}),
    keeps_the_context: ("wary", {"context_is_fresh"}),
    forgets_too_soon: ("shop", {"no_duplicate_effect"}),
    tells_before_a_shared_commit: ("meters", {"no_loss"}),
    commits_as_whoever_it_is_by_now: ("absences", {"judged"}),
    repeats_a_commit_in_a_later_membership: ("absences", {"judged"}),
    takes_an_outage_for_silence: ("outpost", {"nothing_given_up"}),
}
"""Each with the world that shows it, and the invariants of which one must."""

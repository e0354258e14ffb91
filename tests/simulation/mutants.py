"""Mistakes to be found: each breaks one promise of the machinery, and names who must notice."""

from collections.abc import Callable, Sequence

import pytest

from choreo.delivery import emitting
from choreo.delivery.burial import Burial
from choreo.delivery.custody import Custody
from choreo.delivery.durable import DurableBooks
from choreo.delivery.job import Job, Outcome, Received
from choreo.delivery.lanes import Lanes
from choreo.delivery.relay import Relay
from choreo.delivery.tenure import Life
from choreo.delivery.waves import Round
from choreo.delivery.worker import Worker
from choreo.errors import BrokerError, StoreError
from choreo.message import Delivery
from choreo.store.memory import books
from choreo.store.memory.books import Books, Scope
from choreo.store.outbox import Settled
from choreo.store.port import End, Verdict
from choreo.testing.simulation.consumer import Reader, SimulatedConsumer
from choreo.testing.simulation.group import Place
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.loop import OWNER

Mutant = Callable[[pytest.MonkeyPatch], None]


def settles_first(patch: pytest.MonkeyPatch) -> None:
    """Settle what was handed over before anybody has handled it."""
    poll = SimulatedConsumer.poll

    async def mutant(self: SimulatedConsumer, limit: int, /) -> Sequence[Delivery]:
        batch = await poll(self, limit)
        self.settle(batch)
        return batch

    patch.setattr(SimulatedConsumer, "poll", mutant)


def commits_the_newest(patch: pytest.MonkeyPatch) -> None:
    """Commit what was handed over last, whatever is unfinished below it (K1)."""

    def mutant(self: SimulatedConsumer, reader: Reader) -> Place:
        return (reader.next, "")

    patch.setattr(SimulatedConsumer, "_place", mutant)


def settles_what_is_dropped(patch: pytest.MonkeyPatch) -> None:
    """Settle what was given up when its stream went away: the buffer dropped on revocation."""
    release = Custody.release

    def mutant(self: Custody, received: Received) -> None:
        received.dropped = False
        release(self, received)

    patch.setattr(Custody, "release", mutant)


def forgets_the_inbox(patch: pytest.MonkeyPatch) -> None:
    """Write the effect, and not that the event is done."""
    write = Books.write

    def mutant(self: Books, scope: Scope, end: End) -> None:
        write(self, scope, end)
        for key in scope.rows(end.claim):
            self.rows.pop(key, None)

    patch.setattr(Books, "write", mutant)


def claims_what_is_claimed(patch: pytest.MonkeyPatch) -> None:
    """Write without a unique constraint: whoever comes second is not told (O13)."""

    def mutant(*_: object) -> Verdict:
        return Verdict.WRITTEN

    patch.setattr(books, "judge", mutant)


def counts_a_failed_commit(patch: pytest.MonkeyPatch) -> None:
    """Take a commit without an answer for one that counts (O12)."""
    deliver = DurableBooks.deliver

    async def mutant(self: DurableBooks, job: Job, /) -> Outcome | None:
        try:
            return await deliver(self, job)
        except StoreError:
            return Outcome.HANDLED

    patch.setattr(DurableBooks, "deliver", mutant)


def deletes_before_publishing(patch: pytest.MonkeyPatch) -> None:
    """Empty the outbox, and then publish what was in it (O1)."""
    send = Relay._send

    async def mutant(self: Relay, life: Life, going: Round) -> BrokerError | None:
        rows = [row for lane in going._lanes.values() for row in lane]
        await self._outbox.settle(life.holder, Settled(accepted=rows))
        return await send(self, life, going)

    patch.setattr(Relay, "_send", mutant)


def draws_emitted_ids(patch: pytest.MonkeyPatch) -> None:
    """Give what is emitted an id by chance: a handler run again emits other events (I9)."""

    def mutant(*_: object) -> str:
        owner = OWNER.get()
        assert isinstance(owner, Host)
        return owner.environment.ids.new()

    patch.setattr(emitting, "derived", mutant)


def releases_the_lane_to_retry(patch: pytest.MonkeyPatch) -> None:
    """Let the next of a key go ahead while one waits for another attempt (O3)."""
    later, release = Worker.later, Lanes[Job].release

    def mutant(self: Worker, job: Job, seconds: float, /) -> None:
        later(self, job, seconds)
        self._lanes.release(job.lane)
        self._slots.wake()

    def tolerant(self: Lanes[Job], lane: object) -> None:
        if lane in self._busy:
            release(self, lane)

    patch.setattr(Worker, "later", mutant)
    patch.setattr(Lanes, "release", tolerant)


def sends_no_letter(patch: pytest.MonkeyPatch) -> None:
    """Note an end in the dead letters without one (D1)."""

    async def mutant(self: Burial, job: Job) -> None:
        """Send nothing."""

    patch.setattr(Burial, "bury", mutant)


MUTANTS: dict[Mutant, set[str]] = {
    settles_first: {"no_loss"},
    commits_the_newest: {"no_loss"},
    settles_what_is_dropped: {"no_loss"},
    forgets_the_inbox: {"no_duplicate_effect"},
    claims_what_is_claimed: {"no_duplicate_effect"},
    counts_a_failed_commit: {"no_loss"},
    deletes_before_publishing: {"outbox_drained"},
    draws_emitted_ids: {"no_phantom", "same_again"},
    releases_the_lane_to_retry: {"order_per_key"},
    sends_no_letter: {"letters_conserved"},
}
"""Each with the invariants that must find it."""

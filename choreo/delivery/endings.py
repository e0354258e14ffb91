"""How a job leaves: told, its duplicates roused, its lane and its delivery freed."""

from collections.abc import Callable

from choreo.delivery.attempts import Records, key_of
from choreo.delivery.books import brief_fingerprint
from choreo.delivery.custody import Custody
from choreo.delivery.inbox import name_of, replay_of
from choreo.delivery.job import Job, Outcome
from choreo.delivery.journal import Journals
from choreo.delivery.lanes import Lanes
from choreo.delivery.ordering import Ordering
from choreo.envelope import Envelope
from choreo.store.port import Key

HANDLED, FILTERED, DUPLICATE = Outcome.HANDLED, Outcome.FILTERED, Outcome.DUPLICATE
"""How a handler's share ends so that another delivery of the event is a duplicate."""
UNENDED = frozenset((Outcome.DROPPED, Outcome.PARKED))
"""What comes again: from the broker, or out of the store."""


class Endings:
    """The way out of one worker, one job at a time."""

    def __init__(
        self,
        records: Records,
        lanes: Lanes[Job],
        custody: Custody,
        ordering: Ordering,
        journal: Journals,
        ready_again: Callable[[Job], None],
    ) -> None:
        self._books = records.books
        self._inbox = records.inbox
        self._ordering = ordering
        self._journal = journal
        self._ready_again = ready_again
        self._heard = journal.heard
        self._lanes = lanes
        self._custody = custody

    def end(self, job: Job, outcome: Outcome) -> None:
        """End a job that is out of its lane."""
        if self._heard:
            self._journal.ended(job, outcome)
        if outcome is Outcome.DROPPED and job.lease is not None:
            self._books.let_go(job)
        self._ended(job, outcome)
        self._lanes.release(job.lane)
        self._owed(job)
        if job.parked is not None:
            _returned(job, outcome)

    def end_plain(self, job: Job, envelope: Envelope) -> None:
        """End a job that was handled, as ``end`` does, if no store, order or replay has a part."""
        if self._heard:
            self._journal.ended(job, HANDLED)
        for waiter in self._inbox.ends(job.name, job, brief_fingerprint(envelope.data)):
            self._ready_again(waiter)
        self._lanes.release(job.lane)
        custody = self._custody
        if self._heard:
            custody.release(job.received)  # nobody else owes it an end
            return
        ended = custody.ended
        if not ended:
            custody.flush_soon()
        ended.append(job.received)

    def end_buried(self, job: Job) -> None:
        """End a job that is in the dead letters in the same way.

        Its error knows where it was raised, and thereby the job: they would wait for the collector.
        """
        if self._heard:
            self._journal.ended(job, Outcome.DEAD_LETTERED)
        else:
            job.error = None
        for waiter in self._inbox.closes(job.name, job):
            self._ready_again(waiter)
        self._lanes.release(job.lane)
        self._owed(job)

    def end_queued(self, job: Job, outcome: Outcome) -> None:
        """End a job that its lane had not let out yet."""
        self._journal.ended(job, outcome)
        self._ordering.ended(job, unfinished=False)
        self._owed(job)
        _returned(job, outcome)

    def drop_queued(self, job: Job) -> None:
        """End a job, unfinished, that its lane had not let out yet."""
        job.received.dropped = True
        if job.lease is not None:
            self._books.let_go(job)
        self._journal.ended(job, Outcome.DROPPED)
        self._ordering.ended(job, unfinished=True)
        self._owed(job)
        _returned(job, Outcome.DROPPED)

    def rouse_waiters(self, job: Job) -> None:
        """Let those that wait for the job's end go on: it goes back to wait for its own turn."""
        if job.handler is not None:
            for waiter in self._inbox.close(key_of(job, job.handler), job):
                self._ready_again(waiter)

    def _ended(self, job: Job, outcome: Outcome) -> None:
        if job.order is not None:
            self._ordering.ended(job, unfinished=outcome is Outcome.DROPPED)
        if job.handler is not None:
            self._close(job, job.key or key_of(job, job.handler), outcome)

    def _close(self, job: Job, key: Key, outcome: Outcome) -> None:
        received, inbox = job.received, self._inbox
        if outcome is HANDLED and received.rare is None:
            for waiter in inbox.ends(name_of(key), job, self._books.fingerprint(job)):
                self._ready_again(waiter)
            return
        # A replay that is a duplicate may be one of a replay that failed: nothing is done by that.
        told = outcome is HANDLED or outcome is FILTERED
        told = told or (outcome is DUPLICATE and not received.generation)
        begun = outcome is HANDLED and not received.forced  # only what is not finished is begun
        if told and (begun or not inbox.finished(key)):
            inbox.remember(key, self._books.fingerprint(job))
        if received.forced and outcome is Outcome.DEAD_LETTERED:
            inbox.forget(key)  # it was done, and is not: a replay of its letter is handled
        if received.generation and outcome not in UNENDED:
            inbox.remember(replay_of(key, received.generation), None)
        if waiters := inbox.close(key, job):
            for waiter in waiters:
                self._ready_again(waiter)

    def _owed(self, job: Job) -> None:
        received = job.received
        received.owed -= 1
        if not received.owed:
            self._custody.release(received)


def _returned(job: Job, outcome: Outcome) -> None:
    """Let whoever has brought the job back out of the store go on."""
    if job.parked is not None and not job.parked.returned.done():
        job.parked.returned.set_result(outcome)

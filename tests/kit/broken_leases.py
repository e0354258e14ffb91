"""Stores that are each wrong in one way about attempts or leases, and the tests that must tell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from choreo.store.memory.ledger import MemoryLedger
from choreo.store.port import Attempt, Claim, End, Key, Known, Lease, State, Verdict

WRITTEN, DUPLICATE, BUSY = Verdict.WRITTEN, Verdict.DUPLICATE, Verdict.BUSY


class NotesNothing(MemoryLedger):
    """Forgets attempts (D13)."""

    caught_by = (
        "test_attempts_are_known_to_every_process",
        "test_the_most_attempts_and_the_first_failure_count",
    )

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        pass


class NotesTheLast(MemoryLedger):
    """Lets a late note overwrite a later one."""

    caught_by = ("test_the_most_attempts_and_the_first_failure_count",)

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        for attempt in attempts:
            await super().note([attempt])
            row = self._books.rows[next(self._scope.rows(attempt.claim))]
            row.attempts, row.first_failed = attempt.attempts, attempt.first_failed


class NotesReopen(MemoryLedger):
    """Lets a late note open what had ended."""

    caught_by = (
        "test_a_late_note_does_not_open_what_ended",
        "test_a_note_leaves_a_lease_whose_it_is",
    )

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        for attempt in attempts:
            row = self._books.rows.get(next(self._scope.rows(attempt.claim)))
            if row is not None:
                row.state, row.until = State.OPEN, None
        await super().note(attempts)


class NotesEnd(MemoryLedger):
    """Takes an event that failed for one that ended (I3)."""

    caught_by = (
        "test_an_event_that_failed_may_still_end",
        "test_an_event_that_failed_may_still_have_its_effect",
    )

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        await super().note(attempts)
        for attempt in attempts:
            row = self._books.rows[next(self._scope.rows(attempt.claim))]
            if row.state is State.OPEN:
                row.state = State.DONE


class AddsUpReplays(MemoryLedger):
    """Counts the attempts of a replay on those of the original."""

    caught_by = ("test_a_replay_counts_its_attempts_anew",)

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        for attempt in attempts:
            row = self._books.rows.get(next(self._scope.rows(attempt.claim)))
            before = row.attempts if row is not None and row.state is not State.DONE else 0
            await super().note([replace(attempt, attempts=max(before, attempt.attempts))])


class IgnoresFences(MemoryLedger):
    """Lets whoever has had a lease write (I5)."""

    caught_by = (
        "test_a_fence_without_a_lease_writes_nothing",
        "test_a_lease_given_back_is_free_at_once",
    )

    async def _finish(self, end: End) -> Verdict:
        verdict = await super()._finish(end)
        if end.fence is not None and verdict is Verdict.FENCED:
            self._books.write(self._scope, end)
            return WRITTEN
        return verdict


class FencesStandStill(MemoryLedger):
    """Gives every owner the same fence."""

    caught_by = (
        "test_a_lease_given_back_is_free_at_once",
        "test_who_lost_a_lease_writes_nothing",
    )

    async def lease(self, claim: Claim, owner: str, duration: timedelta, /) -> Lease | Verdict:
        lease = await super().lease(claim, owner, duration)
        if isinstance(lease, Lease):
            self._books.rows[next(self._scope.rows(claim))].fence = 1
            return replace(lease, fence=1)
        return lease


class SharesLeases(MemoryLedger):
    """Gives a lease to whoever asks."""

    caught_by = (
        "test_a_renewed_lease_goes_on",
        "test_of_many_who_want_it_one_gets_the_lease",
        "test_what_ended_cannot_be_leased",
    )

    async def lease(self, claim: Claim, owner: str, duration: timedelta, /) -> Lease | Verdict:
        return Lease(claim=claim, fence=self._books.hold(self._scope, claim, owner, duration))


class LeasesForEver(MemoryLedger):
    """Never lets a lease run out."""

    caught_by = (
        "test_a_lease_that_ran_out_counts_as_a_crash",
        "test_an_owner_who_is_late_but_alone_still_writes",
    )

    async def lease(self, claim: Claim, owner: str, duration: timedelta, /) -> Lease | Verdict:
        return await super().lease(claim, owner, timedelta(days=1))


class TakesLeasesBackInTime(MemoryLedger):
    """Refuses an owner who is late although nobody else has come."""

    caught_by = ("test_an_owner_who_is_late_but_alone_still_writes",)

    async def _finish(self, end: End) -> Verdict:
        known = (await self.recall([end.claim.key])).get(end.claim.key)
        if end.fence is not None and known is not None and known.state is State.OPEN:
            return Verdict.FENCED
        return await super()._finish(end)


class WritesUnderOthersLeases(MemoryLedger):
    """Writes although another holds a lease (I4)."""

    caught_by = (
        "test_a_lease_holds_its_idempotency_key_too",
        "test_a_leased_event_is_nobody_elses",
    )

    async def _finish(self, end: End) -> Verdict:
        verdict = await super()._finish(end)
        if verdict is BUSY:
            self._books.write(self._scope, end)
            return WRITTEN
        return verdict


class RenewsNothing(MemoryLedger):
    """Says that it has renewed a lease, and has not."""

    caught_by = (
        "test_a_renewed_lease_goes_on",
        "test_who_lost_a_lease_writes_nothing",
    )

    async def renew(self, leases: Sequence[Lease], duration: timedelta, /) -> Sequence[bool]:
        return [True for _ in leases]


class ReleasesNothing(MemoryLedger):
    """Keeps a lease that is given back."""

    caught_by = ("test_a_lease_given_back_is_free_at_once",)

    async def release(self, lease: Lease, /) -> None:
        pass


class ReleasesOthers(MemoryLedger):
    """Gives another's lease back."""

    caught_by = ("test_a_lease_given_back_is_free_at_once",)

    async def release(self, lease: Lease, /) -> None:
        row = self._books.rows.get(next(self._scope.rows(lease.claim)))
        if row is not None:
            row.state, row.until = State.OPEN, None


class CountsNoCrashes(MemoryLedger):
    """Takes over from the dead without a word (D7)."""

    caught_by = ("test_a_lease_that_ran_out_counts_as_a_crash",)

    async def recall(self, keys: Sequence[Key], /) -> Mapping[Key, Known]:
        known = await super().recall(keys)
        return {key: replace(each, crashes=0) for key, each in known.items()}


class LeasesNoPurposes(MemoryLedger):
    """Leases an event without its idempotency key."""

    caught_by = (
        "test_a_lease_holds_its_idempotency_key_too",
        "test_an_idempotency_key_may_be_taken_over",
    )

    async def lease(self, claim: Claim, owner: str, duration: timedelta, /) -> Lease | Verdict:
        answer = await super().lease(replace(claim, purpose=None), owner, duration)
        return replace(answer, claim=claim) if isinstance(answer, Lease) else answer

"""Stores that are each wrong in one way about what ended, and the tests that must tell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from choreo.store.memory.ledger import MemoryLedger
from choreo.store.port import Attempt, End, Key, Known, State, Verdict

WRITTEN, DUPLICATE, CONFLICT = Verdict.WRITTEN, Verdict.DUPLICATE, Verdict.CONFLICT


class ClaimsWithoutUniqueness(MemoryLedger):
    """Writes whatever comes (O13)."""

    caught_by = (
        "test_an_event_that_ended_is_a_duplicate",
        "test_callers_at_the_same_time_get_each_its_own_verdicts",
    )

    async def _finish(self, end: End) -> Verdict:
        self._books.write(self._scope, end)
        return WRITTEN


class SwallowsConflicts(MemoryLedger):
    """Takes another payload under a known id for a duplicate (I10)."""

    caught_by = (
        "test_an_event_with_an_idempotency_key_that_comes_again_is_a_duplicate",
        "test_another_payload_under_a_known_id_is_a_conflict",
        "test_ends_of_one_call_are_judged_each_for_itself",
    )

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        verdicts = await super().finish(ends)
        return [DUPLICATE if each is CONFLICT else each for each in verdicts]


class LetsOneEndRefuseTheRest(MemoryLedger):
    """Gives up a call at the first end that is refused."""

    caught_by = (
        "test_ends_of_one_call_are_judged_each_for_itself",
        "test_one_call_may_hold_two_events_with_one_idempotency_key",
    )

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        verdicts: list[Verdict] = []
        for end in ends:
            good = all(verdict is WRITTEN for verdict in verdicts)
            verdicts.append(await self._finish(end) if good else DUPLICATE)
        return verdicts


class WantsWork(MemoryLedger):
    """Fails on empty calls."""

    caught_by = (
        "test_no_attempts_are_no_work",
        "test_no_ends_are_no_work",
    )

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        assert ends
        return await super().finish(ends)

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        assert attempts
        await super().note(attempts)

    async def recall(self, keys: Sequence[Key], /) -> Mapping[Key, Known]:
        assert keys
        return await super().recall(keys)


class RecallMisses(MemoryLedger):
    """Looks up no more than the first hundred."""

    caught_by = ("test_many_events_are_recalled_at_once",)

    async def recall(self, keys: Sequence[Key], /) -> Mapping[Key, Known]:
        return await super().recall(keys[:100])


class RecallInvents(MemoryLedger):
    """Knows what nobody has seen."""

    caught_by = (
        "test_a_refused_effect_leaves_nothing",
        "test_an_unknown_event_is_not_recalled",
    )

    async def recall(self, keys: Sequence[Key], /) -> Mapping[Key, Known]:
        invented = Known(state=State.OPEN, fingerprint=b"")
        return {**dict.fromkeys(keys, invented), **await super().recall(keys)}


class ForgetsPayloads(MemoryLedger):
    """Remembers that something ended, and not what it was."""

    caught_by = (
        "test_an_end_is_remembered_with_its_payload",
        "test_an_event_that_failed_may_still_end",
        "test_the_owner_ends_it_once",
    )

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        return await super().finish([_blank(end) for end in ends])


class SuppressesReplays(MemoryLedger):
    """Takes a replay of a dead event for a duplicate (I12)."""

    caught_by = (
        "test_a_replay_may_bear_another_payload",
        "test_a_replay_of_a_dead_event_is_handled_once",
        "test_a_replay_that_fails_may_be_replayed_again",
    )

    async def _finish(self, end: End) -> Verdict:
        known = await self.recall([end.claim.key])
        if any(each.state is State.DEAD for each in known.values()):
            return DUPLICATE
        return await super()._finish(end)


class HandlesTheDeadAgain(MemoryLedger):
    """Forgets what went to the dead letters (I3)."""

    caught_by = (
        "test_a_dead_event_is_known_as_dead",
        "test_a_dead_event_that_comes_again_is_a_duplicate",
    )

    async def _finish(self, end: End) -> Verdict:
        verdict = await super()._finish(end)
        if verdict is WRITTEN and end.state is State.DEAD:
            del self._books.rows[next(self._scope.rows(end.claim))]
        return verdict


class ReplaysTheDone(MemoryLedger):
    """Handles a replay of what had succeeded."""

    caught_by = (
        "test_a_replay_of_a_dead_event_is_handled_once",
        "test_what_is_done_refuses_replays",
    )

    async def _finish(self, end: End) -> Verdict:
        verdict = await super()._finish(end)
        known = (await self.recall([end.claim.key])).get(end.claim.key)
        if verdict is DUPLICATE and known and end.claim.generation > known.generation:
            self._books.write(self._scope, end)
            return WRITTEN
        return verdict


class IgnoresForce(MemoryLedger):
    """Takes a replay by force for any other."""

    caught_by = (
        "test_a_replay_by_force_that_fails_opens_what_was_done",
        "test_what_is_done_is_done_once_more_by_force",
    )

    async def _finish(self, end: End) -> Verdict:
        return await super()._finish(replace(end, claim=replace(end.claim, forced=False)))

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        plain = [replace(each, claim=replace(each.claim, forced=False)) for each in attempts]
        await super().note(plain)


class TakesNothingBack(MemoryLedger):
    """Counts attempts for good, whatever was to blame for them (D11)."""

    caught_by = ("test_an_attempt_that_is_taken_back_counts_no_more",)

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        await super().note([each for each in attempts if not each.taken_back])


class KeepsTheFirstPayload(MemoryLedger):
    """Takes a replay that was edited for a conflict."""

    caught_by = ("test_a_replay_may_bear_another_payload",)

    async def _finish(self, end: End) -> Verdict:
        known = (await self.recall([end.claim.key])).get(end.claim.key)
        if known is not None and known.fingerprint != end.claim.fingerprint:
            return CONFLICT
        return await super()._finish(end)


def _blank(end: End) -> End:
    return replace(end, claim=replace(end.claim, fingerprint=bytes(16)))

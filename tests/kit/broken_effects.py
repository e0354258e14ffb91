"""Stores that are each wrong in one way about transactions, and the tests that must tell."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from choreo.store.memory.ledger import MemoryEffect, MemoryLedger
from choreo.store.port import Claim, End, State, Verdict

WRITTEN, DUPLICATE, BUSY = Verdict.WRITTEN, Verdict.DUPLICATE, Verdict.BUSY


class CommitsWhatFailed(MemoryLedger):
    """Commits a handler's writes whether it succeeded or not (O11)."""

    caught_by = (
        "test_a_handler_that_is_cancelled_leaves_nothing",
        "test_a_handler_that_raises_leaves_nothing",
    )

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        async with super()._effect(claim) as effect:
            try:
                yield effect
            finally:
                effect.transaction.commit()
                effect.transaction = type(effect.transaction)(self._books.values)


class EndsBeforeHandling(MemoryLedger):
    """Writes the end when the event is claimed (I1)."""

    caught_by = (
        "test_a_handler_that_is_cancelled_leaves_nothing",
        "test_a_handler_that_raises_leaves_nothing",
    )

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        async with super()._effect(claim) as effect:
            if effect.verdict is WRITTEN:
                self._books.write(self._scope, End(claim=claim))
            yield effect


class CommitsWithoutCompletion(MemoryLedger):
    """Takes leaving without an error for success."""

    caught_by = (
        "test_a_twin_takes_over_from_one_that_failed",
        "test_leaving_without_completing_rolls_back",
    )

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        async with super()._effect(claim) as effect:
            yield effect
            if effect.verdict is WRITTEN and effect.end is None:
                effect.end = End(claim=claim)


class ForgetsTheEnd(MemoryLedger):
    """Commits the handler's writes and not its event's end (I2)."""

    caught_by = (
        "test_a_handlers_writes_are_committed_with_its_events_end",
        "test_a_replay_of_a_dead_event_is_handled_in_a_transaction",
        "test_an_effect_may_end_in_the_dead_letters",
    )

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        async with super()._effect(claim) as effect:
            yield effect
            if effect.end is not None:
                effect.transaction.commit()
                effect.end = None


class ForgetsTheWrites(MemoryLedger):
    """Commits the end and not the handler's writes."""

    caught_by = (
        "test_a_handler_that_is_cancelled_leaves_nothing",
        "test_a_replay_of_a_dead_event_is_handled_in_a_transaction",
    )

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        async with super()._effect(claim) as effect:
            yield effect
            effect.transaction = type(effect.transaction)(self._books.values)


class NeverLetsGo(MemoryLedger):
    """Keeps others from an event whose handler failed."""

    caught_by = (
        "test_a_handler_that_is_cancelled_leaves_nothing",
        "test_a_handler_that_raises_leaves_nothing",
    )

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        effect, good = None, False
        try:
            async with super()._effect(claim) as effect:
                yield effect
                good = effect.end is not None or effect.verdict is not WRITTEN
        finally:
            if not good:
                self._books.occupy(list(self._scope.rows(claim)))


class LetsTwinsIn(MemoryLedger):
    """Gives two handlers the same event at once (I4)."""

    caught_by = (
        "test_a_twin_waits_for_the_end_and_is_a_duplicate",
        "test_an_end_waits_for_the_transaction_at_its_event",
    )

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        verdict = self._books.judge(self._scope, claim, None)
        effect = MemoryEffect(self._books, self._scope, verdict)
        yield effect
        effect.commit()

    async def _finish(self, end: End) -> Verdict:
        verdict = self._books.judge(self._scope, end.claim, end.fence)
        if verdict is WRITTEN:
            self._books.write(self._scope, end)
        return verdict


class TurnsTwinsAway(MemoryLedger):
    """Calls an event a duplicate that another is still at (I4)."""

    caught_by = (
        "test_a_twin_waits_for_the_end_and_is_a_duplicate",
        "test_another_event_with_the_idempotency_key_waits",
    )

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        if any(key in self._books._busy for key in self._scope.rows(claim)):
            yield MemoryEffect(self._books, self._scope, DUPLICATE)
            return
        async with super()._effect(claim) as effect:
            yield effect


class HandlesAnything(MemoryLedger):
    """Claims without looking what ended."""

    caught_by = (
        "test_a_replay_of_a_dead_event_is_handled_in_a_transaction",
        "test_of_many_duplicates_at_once_one_has_its_effect",
        "test_what_ended_is_not_handled_again",
    )

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        async with super()._effect(replace(claim, generation=claim.generation + 1)) as effect:
            effect.verdict = WRITTEN
            yield effect


class EndsAllWell(MemoryLedger):
    """Takes whatever ends a transaction for success."""

    caught_by = ("test_an_effect_may_end_in_the_dead_letters",)

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        async with super()._effect(claim) as effect:
            yield effect
            if effect.end is not None:
                effect.end = replace(effect.end, state=State.DONE)

"""Stores that are each wrong in one way about what is kept apart, and for how long."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from choreo.store.memory.books import RowKey, Scope
from choreo.store.memory.ledger import MemoryLedger
from choreo.store.port import Claim, End, Key, Known, State, Verdict

WRITTEN, DUPLICATE, CONFLICT = Verdict.WRITTEN, Verdict.DUPLICATE, Verdict.CONFLICT


class Rescoped(MemoryLedger):
    """Finds rows by other keys."""

    def __init__(self, books: object, scope: Scope) -> None:
        super().__init__(books, self.scoped(scope.service, scope.handlers))  # type: ignore[arg-type]  # as given

    def scoped(self, service: str, handlers: tuple[str, ...]) -> Scope:
        """Return the wrong scope."""
        raise NotImplementedError


class OneRowForAllHandlers(Rescoped):
    """Lets handlers hide events from each other (I8)."""

    caught_by = (
        "test_idempotency_keys_and_ids_do_not_hide_each_other",
        "test_two_handlers_do_not_hide_an_event_from_each_other",
    )

    def scoped(self, service: str, handlers: tuple[str, ...]) -> Scope:
        return Scope(service, ("all",) * len(handlers))


class OneRowForAllServices(Rescoped):
    """Lets services hide events from each other."""

    caught_by = (
        "test_another_services_books_are_left_alone",
        "test_two_services_do_not_hide_an_event_from_each_other",
    )

    def scoped(self, service: str, handlers: tuple[str, ...]) -> Scope:
        return Scope("all" if service else "", handlers)


class NumbersHandlersByPlace(Rescoped):
    """Gives a handler's rows to whoever stands in its place."""

    caught_by = ("test_handlers_are_found_again_by_their_names",)

    def scoped(self, service: str, handlers: tuple[str, ...]) -> Scope:
        return Scope(service, tuple(map(str, range(len(handlers)))))


class OneRowForAllSources(MemoryLedger):
    """Lets sources hide events from each other (I11)."""

    caught_by = (
        "test_a_lease_that_ran_out_counts_as_a_crash",
        "test_two_sources_do_not_hide_an_event_from_each_other",
    )

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        return await super().finish([_keyed(end, source="all") for end in ends])

    async def recall(self, keys: Sequence[Key], /) -> Mapping[Key, Known]:
        found = await super().recall([(key[0], "all", key[2]) for key in keys])
        return {
            key: found[key[0], "all", key[2]] for key in keys if (key[0], "all", key[2]) in found
        }


class CutsIds(MemoryLedger):
    """Keeps the first 200 characters of an id, as a column would."""

    caught_by = ("test_ids_of_any_length_and_content_are_told_apart",)

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        return await super().finish([_keyed(end, identity=end.claim.key[2][:200]) for end in ends])


class CutsIdsAtNul(MemoryLedger):
    """Keeps an id up to its first NUL."""

    caught_by = ("test_ids_of_any_length_and_content_are_told_apart",)

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        return await super().finish(
            [_keyed(end, identity=end.claim.key[2].partition("\0")[0]) for end in ends]
        )


class PurposelessScope(Scope):
    """Sees no idempotency keys."""

    def rows(self, claim: Claim) -> Iterator[RowKey]:
        return super().rows(replace(claim, purpose=None))


class IgnoresPurposes(Rescoped):
    """Knows no idempotency keys."""

    caught_by = (
        "test_a_refused_effect_leaves_nothing",
        "test_of_events_with_one_idempotency_key_in_two_processes_one_is_written",
    )

    def scoped(self, service: str, handlers: tuple[str, ...]) -> Scope:
        return PurposelessScope(service, handlers)


class PurposesAreIds(MemoryLedger):
    """Keeps idempotency keys as if they were ids, from the same source."""

    caught_by = ("test_idempotency_keys_and_ids_do_not_hide_each_other",)

    async def _finish(self, end: End) -> Verdict:
        verdict = await super()._finish(end)
        if verdict is WRITTEN and end.claim.purpose is not None:
            key = (*end.claim.key[:2], end.claim.purpose)
            alias = replace(end.claim, key=key, purpose=None)
            self._books.write(self._scope, End(claim=alias))
        return verdict


class PurposesConflict(MemoryLedger):
    """Takes an event that comes again for a second one with its idempotency key."""

    caught_by = (
        "test_of_events_with_one_idempotency_key_in_two_processes_one_is_written",
        "test_one_call_may_hold_two_events_with_one_idempotency_key",
    )

    async def _finish(self, end: End) -> Verdict:
        verdict = await super()._finish(end)
        return CONFLICT if verdict is DUPLICATE and end.claim.purpose else verdict


class RemembersTheSecond(MemoryLedger):
    """Writes the second event with an idempotency key down as done."""

    caught_by = ("test_two_events_with_one_idempotency_key_are_one_effect",)

    async def _finish(self, end: End) -> Verdict:
        verdict = await super()._finish(end)
        if verdict is DUPLICATE and end.claim.purpose:
            self._books.write(self._scope, replace(end, claim=replace(end.claim, purpose=None)))
        return verdict


class TheDeadKeepTheirPurpose(MemoryLedger):
    """Uses an idempotency key up although the event failed."""

    caught_by = (
        "test_a_dead_event_leaves_its_idempotency_key_to_the_next",
        "test_a_lease_may_end_in_the_dead_letters",
    )

    async def _finish(self, end: End) -> Verdict:
        verdict = await super()._finish(end)
        if verdict is WRITTEN and end.state is State.DEAD and end.claim.purpose:
            self._books.write(self._scope, replace(end, state=State.DONE))
            self._books.rows[next(self._scope.rows(end.claim))].state = State.DEAD
        return verdict


class ExpiresWhatIsOpen(MemoryLedger):
    """Forgets what has not ended (O8)."""

    caught_by = (
        "test_another_services_books_are_left_alone",
        "test_what_has_not_ended_is_never_forgotten",
    )

    async def expire(self, before: datetime, limit: int, /) -> int:
        rows = self._books.rows
        old = [key for key, row in rows.items() if row.ended is None or row.ended < before]
        for key in old[:limit]:
            del rows[key]
        return len(old[:limit])


class ExpiresWithoutLimit(MemoryLedger):
    """Forgets everything at once."""

    caught_by = ("test_no_more_are_forgotten_than_the_limit",)

    async def expire(self, before: datetime, limit: int, /) -> int:
        return await super().expire(before, limit * 100)


class ExpiresTheYoung(MemoryLedger):
    """Forgets whatever has ended."""

    caught_by = ("test_only_what_ended_before_is_forgotten",)

    async def expire(self, before: datetime, limit: int, /) -> int:
        return await super().expire(before.replace(year=9999), limit)


class ExpiresWhatHasACopy(MemoryLedger):
    """Forgets an end though a copy of its event is still to come out of the lot (O8)."""

    caught_by = ("test_what_has_a_copy_in_the_lot_is_remembered_until_that_has_left",)

    async def expire(self, before: datetime, limit: int, /) -> int:
        rows, own = self._books.rows, self._scope.service
        ended = {key: row.ended for key, row in rows.items() if key[0] == own and row.ended}
        old = [key for key, moment in ended.items() if moment < before][:limit]
        for key in old:
            del rows[key]
        return len(old)


class ExpiresForOthers(MemoryLedger):
    """Forgets what other services remember."""

    caught_by = ("test_another_services_books_are_left_alone",)

    async def expire(self, before: datetime, limit: int, /) -> int:
        services = {key[0] for key in self._books.rows}
        scopes = [Scope(service, self._scope.handlers) for service in services]
        ledgers = [MemoryLedger(self._books, scope) for scope in scopes]
        return sum([await ledger.expire(before, limit) for ledger in ledgers])


class KeepsPurposesForEver(MemoryLedger):
    """Forgets ids, and never idempotency keys."""

    caught_by = ("test_an_idempotency_key_is_forgotten_too",)

    async def expire(self, before: datetime, limit: int, /) -> int:
        kept = {key: row for key, row in self._books.rows.items() if key[2] == ""}
        count = await super().expire(before, limit)
        again = {key: row for key, row in kept.items() if key not in self._books.rows}
        self._books.rows.update(again)
        return count - len(again)


def _keyed(end: End, *, source: str | None = None, identity: str | None = None) -> End:
    handler, old_source, old_identity = end.claim.key
    key = (handler, source or old_source, old_identity if identity is None else identity)
    return replace(end, claim=replace(end.claim, key=key))

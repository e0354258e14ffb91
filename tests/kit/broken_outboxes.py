"""Outboxes that are each wrong in one way, and the tests of the contract that must tell."""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from choreo.clock import Clock
from choreo.message import Header, Message
from choreo.store.memory.ledger import MemoryEffect, MemoryLedger
from choreo.store.memory.outbox import MemoryOutbox, Shelf, Shelves
from choreo.store.outbox import Row, Settled, Share
from choreo.store.port import Claim, End, Verdict


class EmitsOfDuplicates(MemoryLedger):
    """Keeps what an end emits that it refuses (O11)."""

    caught_by = ("test_rows_of_an_end_that_is_not_written_are_not_there",)

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        verdicts = await super().finish(ends)
        for end, verdict in zip(ends, verdicts, strict=True):
            if verdict is Verdict.DUPLICATE:
                self.shelves.write(self._scope, end)
        return verdicts

    @property
    def shelves(self) -> Shelves:
        """The outboxes of this store."""
        return next(part for part in self._books.parts if isinstance(part, Shelves))


class EmitsBeforeTheCommit(EmitsOfDuplicates):
    """Keeps what a handler emits although its transaction is rolled back (O11)."""

    caught_by = ("test_rows_of_an_effect_that_is_left_without_its_end_are_not_there",)

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        return await MemoryLedger.finish(self, ends)

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        async with super()._effect(claim) as effect:
            try:
                yield effect
            finally:
                if effect.end is not None:
                    self.shelves.write(self._scope, effect.end)


class LosesAbsentHeaders(MemoryOutbox):
    """Takes an absent header for none."""

    caught_by = ("test_a_message_comes_out_of_the_outbox_as_it_went_in",)

    async def read(self, holder: str, limit: int, /) -> Sequence[Row]:
        return [
            replace(row, message=replace(row.message, headers=_present(row.message)))
            for row in await super().read(holder, limit)
        ]


class TakesEmptyForAbsent(MemoryOutbox):
    """Takes an empty body for none."""

    caught_by = ("test_a_message_comes_out_of_the_outbox_as_it_went_in",)

    async def read(self, holder: str, limit: int, /) -> Sequence[Row]:
        return [
            replace(row, message=replace(row.message, body=row.message.body or None))
            for row in await super().read(holder, limit)
        ]


class ForgetsIdentities(MemoryOutbox):
    """Keeps an event once more that is emitted again (I9)."""

    caught_by = ("test_what_is_emitted_again_under_its_id_is_there_once",)

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        super().__init__(shelf, clock)
        shelf.identities = Amnesia()


class Amnesia(dict[str, int]):
    """Knows of nothing."""

    def __contains__(self, key: object) -> bool:
        return False


class ReadsBackwards(MemoryOutbox):
    """Hands over a lane's last row first."""

    caught_by = (
        "test_a_lane_that_waited_goes_on_in_order",
        "test_rows_of_a_lane_come_in_the_order_of_their_transactions",
    )

    async def read(self, holder: str, limit: int, /) -> Sequence[Row]:
        return list(reversed(await super().read(holder, limit)))


class AcceptsTheWholeLane(MemoryOutbox):
    """Deletes what lies behind an accepted row with it."""

    caught_by = ("test_what_was_accepted_is_gone_and_nothing_else",)

    async def settle(self, holder: str, settled: Settled, /) -> Collection[int]:
        lanes = {row.lane for row in settled.accepted}
        rows = [row for row in self._shelf.rows.values() if row.lane in lanes]
        return await super().settle(holder, replace(settled, accepted=rows))


class KeepsWhatWasAccepted(MemoryOutbox):
    """Has rows published again that the broker has."""

    caught_by = ("test_what_was_accepted_is_gone_and_nothing_else",)

    async def settle(self, holder: str, settled: Settled, /) -> Collection[int]:
        return await super().settle(holder, replace(settled, accepted=()))


class BeginsAnEpochWithEachNumber(MemoryOutbox):
    """Numbers without an epoch to count in (R5)."""

    caught_by = ("test_numbers_of_a_stream_have_no_gaps_and_one_epoch",)

    async def read(self, holder: str, limit: int, /) -> Sequence[Row]:
        return [replace(row, epoch=row.id) for row in await super().read(holder, limit)]


class TakesAll(MemoryOutbox):
    """Gives every relay all shards (O4)."""

    caught_by = ("test_a_shard_has_one_holder_and_relays_share_fairly",)

    async def keep(self, holder: str, duration: timedelta, /) -> Share:
        self._shelf.owners.clear()
        return replace(await super().keep(holder, duration), surplus=frozenset())


class StaysWhenItLeaves(MemoryOutbox):
    """Holds what a relay had until its lease runs out."""

    caught_by = ("test_a_relay_that_leaves_hands_over_at_once",)

    async def leave(self, holder: str, /) -> None:
        pass


class NeverChangesFences(MemoryOutbox):
    """Gives each holder of a shard the same fence (O4)."""

    caught_by = ("test_a_relay_that_leaves_hands_over_at_once",)

    async def keep(self, holder: str, duration: timedelta, /) -> Share:
        share = await super().keep(holder, duration)
        return replace(share, held=dict.fromkeys(share.held, 1))


class SettlesForAnybody(MemoryOutbox):
    """Lets a relay write whose lease went to another (O4)."""

    caught_by = ("test_a_relay_whose_lease_ran_out_writes_nothing_any_more",)

    async def settle(self, holder: str, settled: Settled, /) -> Collection[int]:
        owners = dict(self._shelf.owners)
        self._shelf.owners = {shard: (holder, until) for shard, (_, until) in owners.items()}
        try:
            return await super().settle(holder, settled)
        finally:
            self._shelf.owners = owners


class GoesOnPastARefusal(MemoryOutbox):
    """Hands over what lies behind a refused row (O5, P6)."""

    caught_by = ("test_behind_a_refused_row_its_lane_waits_and_no_other",)

    async def read(self, holder: str, limit: int, /) -> Sequence[Row]:
        return [replace(row, blocked=False) for row in await super().read(holder, limit)]


class HoldsUpEverybody(MemoryOutbox):
    """Has all lanes wait behind one refused row (O5)."""

    caught_by = ("test_behind_a_refused_row_its_lane_waits_and_no_other",)

    async def read(self, holder: str, limit: int, /) -> Sequence[Row]:
        rows = await super().read(holder, limit)
        return [replace(row, blocked=bool(self._shelf.lanes)) for row in rows]


class ForgetsWhatIsBehind(MemoryOutbox):
    """Leaves rows where they are that are to wait behind another."""

    caught_by = ("test_a_lane_that_waited_goes_on_in_order",)

    async def settle(self, holder: str, settled: Settled, /) -> Collection[int]:
        return await super().settle(holder, replace(settled, behind=()))


class HoldsWhatIsSetAside(MemoryOutbox):
    """Has a lane wait for a row that was set aside."""

    caught_by = ("test_a_row_set_aside_blocks_nobody_and_is_counted",)

    async def settle(self, holder: str, settled: Settled, /) -> Collection[int]:
        refused = [replace(refusal, aside=False) for refusal in settled.refused]
        return await super().settle(holder, replace(settled, refused=refused))


class FiresEarly(MemoryOutbox):
    """Fires timers before they are due."""

    caught_by = ("test_a_timer_is_no_row_before_it_is_due",)

    async def fire(self, holder: str, limit: int, /) -> timedelta | None:
        now = self._clock.now()
        for heap in self._shelf.timers:
            heap[:] = [(now, place, emission) for _, place, emission in heap]
        return await super().fire(holder, limit)


class FiresTheLatestFirst(MemoryOutbox):
    """Fires timers in another order than that in which they are due."""

    caught_by = ("test_of_two_timers_the_one_due_first_is_fired_first",)

    async def fire(self, holder: str, limit: int, /) -> timedelta | None:
        for heap in self._shelf.timers:
            heap.sort(reverse=True)
        return await super().fire(holder, limit)


class FiresForOthers(MemoryOutbox):
    """Fires what is in another relay's shards."""

    caught_by = ("test_a_relay_fires_only_what_is_in_its_shards",)

    async def fire(self, holder: str, limit: int, /) -> timedelta | None:
        owners = dict(self._shelf.owners)
        self._shelf.owners = {shard: (holder, until) for shard, (_, until) in owners.items()}
        try:
            return await super().fire(holder, limit)
        finally:
            self._shelf.owners = owners


def _present(message: Message) -> list[Header]:
    return [(name, value) for name, value in message.headers if value is not None]

"""Streams, lots and flights that are each wrong in one way, and the tests that must tell."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from choreo.store.flights import Incarnation
from choreo.store.lot import Laid, Line, Parked, Parking
from choreo.store.memory.flights import MemoryFlights
from choreo.store.memory.ledger import MemoryLedger
from choreo.store.memory.lines import Row
from choreo.store.memory.lot import MemoryLot
from choreo.store.memory.streams import MemoryStreams
from choreo.store.port import End, Verdict
from choreo.store.streams import Advance, Skip

NOW = timedelta(0)


class MovesFromAnywhere(MemoryStreams):
    """Takes every step, wherever the stream stands (R13)."""

    caught_by = (
        "test_a_new_epoch_begins_once_and_the_old_one_is_over",
        "test_a_stream_moves_only_from_where_it_stands",
    )

    async def move(self, advances: Sequence[Advance], /) -> Sequence[bool]:
        for step in advances:
            self._rows.move(self._scope, step)
        return [True] * len(advances)


class MovesTheFirstOnly(MemoryStreams):
    """Takes one step, and says that it has taken all."""

    caught_by = ("test_several_steps_of_several_streams_move_together",)

    async def move(self, advances: Sequence[Advance], /) -> Sequence[bool]:
        return list(await super().move(advances[:1])) * len(advances)


class RecordsNoSkips(MemoryStreams):
    """Gives numbers up without a word (R1)."""

    caught_by = (
        "test_what_is_given_up_is_kept_as_a_fact",
        "test_what_was_given_up_is_forgotten_with_the_ends_of_its_time",
    )

    async def skips(self, limit: int, /) -> Sequence[Skip]:
        return ()


class KeepsSkipsForEver(MemoryStreams):
    """Lets the record of what was given up grow (O8)."""

    caught_by = ("test_what_was_given_up_is_forgotten_with_the_ends_of_its_time",)

    def forget(self, before: datetime, limit: int) -> int:
        return 0


class EndsWithoutSteps(MemoryLedger):
    """Writes an end without the step of its stream (R3)."""

    caught_by = ("test_an_end_is_written_with_its_step_or_not_at_all",)

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        return await super().finish([replace(end, advance=None) for end in ends])


class ReadsBackwards(MemoryLot):
    """Lets the last of a line out first."""

    caught_by = (
        "test_events_are_kept_whole_and_in_order",
        "test_numbered_events_wait_in_the_order_of_their_numbers",
    )

    async def first(self, line: Line, limit: int, /) -> Sequence[Parked]:
        return list(reversed(await super().first(line, 1_000)))[:limit]


class LaysLateOnes(MemoryLot):
    """Lays what is only looked for."""

    caught_by = (
        "test_what_comes_late_is_laid_nowhere_unless_it_lies_there_already",
        "test_what_comes_late_is_no_copy_of_what_still_waits_for_its_number",
    )

    async def append(self, events: Sequence[Parking], /) -> Sequence[Laid]:
        return await super().append([replace(event, late=False) for event in events])


class LosesWhatComesAfterTheLast(MemoryLot):
    """Says of what has no line any more that it lies there."""

    caught_by = ("test_the_line_is_gone_with_its_last_event_and_who_comes_then_is_told",)

    async def append(self, events: Sequence[Parking], /) -> Sequence[Laid]:
        laid = await super().append(events)
        return [Laid.LAID if each is Laid.MOVED else each for each in laid]


class LaysAfterLooking(MemoryLot):
    """Looks whether a line is open, and lays then: it may be gone meanwhile."""

    caught_by = ("test_who_lays_and_who_lets_out_at_once_never_lose_nor_overtake",)

    async def append(self, events: Sequence[Parking], /) -> Sequence[Laid]:
        there = await self.open([event.line for event in events])
        await asyncio.sleep(0)
        laid = await super().append(events)
        return [
            Laid.LAID if each is Laid.MOVED and event.line in there else each
            for event, each in zip(events, laid, strict=True)
        ]


class LaysAnew(MemoryLot):
    """Lays an event beside itself."""

    caught_by = (
        "test_a_copy_that_waits_for_its_number_is_no_hindrance_to_the_event_itself",
        "test_an_event_lies_in_the_lot_once",
    )

    def _lay(self, event: Parking) -> Laid:
        laid = super()._lay(event)
        if laid is Laid.THERE:
            return super()._lay(replace(event, generation=event.generation + 1))
        return laid


class TakesEarly(MemoryLot):
    """Takes whatever there is, due or not."""

    caught_by = (
        "test_a_held_line_waits_until_it_is_let_go_on",
        "test_a_line_is_due_never_early_and_goes_to_one_owner",
        "test_a_line_whose_number_is_at_work_is_put_off_and_called_all_the_same",
    )

    async def take(self, limit: int, lease: timedelta, /) -> Sequence[Line]:
        for _, row in self._own():
            row.due = self._rows.clock.now()
        return await super().take(limit, lease)


class SharesLines(MemoryLot):
    """Gives a line to whoever asks."""

    caught_by = ("test_a_line_is_due_never_early_and_goes_to_one_owner",)

    async def take(self, limit: int, lease: timedelta, /) -> Sequence[Line]:
        return await super().take(limit, NOW)


class IgnoresFences(MemoryLot):
    """Lets whoever has had a line work on it (I5)."""

    caught_by = ("test_an_owner_whose_lease_ran_out_writes_nothing_any_more",)

    def _held(self, line: Line) -> Row | None:
        return self._rows.lines.get((self._scope.service, line.line))


class CountsNoAttempts(MemoryLot):
    """Puts a line off as if nothing had failed."""

    caught_by = (
        "test_a_call_that_comes_while_the_line_is_looked_at_is_not_lost",
        "test_failed_attempts_count_until_the_head_has_ended",
    )

    async def put_off(self, line: Line, due: timedelta | None, note: str, /) -> bool:
        return await self.wait(line, due, note)


class HoldsNothing(MemoryLot):
    """Lets a line that is held go on at once."""

    caught_by = ("test_a_held_line_waits_until_it_is_let_go_on",)

    async def put_off(self, line: Line, due: timedelta | None, note: str, /) -> bool:
        return await super().put_off(line, due or NOW, note)


class ParksWithoutSteps(MemoryLot):
    """Parks an event, and leaves its stream where it stood (R3)."""

    caught_by = ("test_a_numbered_stream_moves_with_what_is_parked",)

    async def park(
        self, head: Parking, behind: Sequence[Parking], due: timedelta | None, /
    ) -> bool:
        return await super().park(replace(head, advance=None), behind, due)


class BlamesNothing(MemoryFlights):
    """Suspects nothing of what the dead were at (D7)."""

    caught_by = (
        "test_crashes_add_up_until_the_event_has_ended",
        "test_what_was_in_flight_with_the_dead_is_suspect",
    )

    async def blame(self, dead: Sequence[Incarnation], /) -> None:
        pass


class AcquitsNobody(MemoryFlights):
    """Suspects for ever."""

    caught_by = ("test_crashes_add_up_until_the_event_has_ended",)

    async def acquit(self, events: Sequence[bytes], /) -> None:
        pass


class NobodyLeaves(MemoryFlights):
    """Takes whoever has left for somebody who may have died."""

    caught_by = ("test_who_leaves_of_its_own_accord_leaves_no_suspects",)

    async def leave(self, own: Incarnation, /) -> None:
        pass


class NothingLands(MemoryFlights):
    """Suspects what has ended long before."""

    caught_by = (
        "test_what_has_landed_is_no_suspect",
        "test_what_was_in_flight_with_the_dead_is_suspect",
    )

    async def depart(
        self, own: Incarnation, flight: int, events: Sequence[bytes], landed: Sequence[int], /
    ) -> None:
        await super().depart(own, flight, events, ())

    async def land(self, own: Incarnation, flights: Sequence[int], /) -> None:
        pass

"""Lots that are each wrong in one way about numbered lines, and the tests that must tell."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from choreo.store.lot import Laid, Line, Parking, Waiting
from choreo.store.memory.lines import Row
from choreo.store.memory.lot import MemoryLot


class CallsForNothing(MemoryLot):
    """Leaves a line alone although what may fill its gap was laid into it."""

    caught_by = ("test_a_line_is_called_by_what_may_fill_its_gap_and_by_nothing_else",)

    async def append(self, events: Sequence[Parking], /) -> Sequence[Laid]:
        calls = {line: row.calls for line, row in self._own()}
        laid = await super().append(events)
        for line, row in self._own():
            row.calls = calls.get(line, 0)
        return laid


class LosesCalls(MemoryLot):
    """Takes a call that comes while a line is looked at for heard."""

    caught_by = ("test_a_call_that_comes_while_the_line_is_looked_at_is_not_lost",)

    def _give_back(self, line: Line, due: timedelta | None, note: str, attempts: int) -> bool:
        row = self._held(line)
        calls = line.calls if row is None else row.calls
        return super()._give_back(replace(line, calls=calls), due, note, attempts)


class HearsOnTaking(MemoryLot):
    """Takes a call for heard when it takes the line, and not when it has looked."""

    caught_by = ("test_a_call_is_not_lost_with_who_took_the_line_for_it",)

    async def take(self, limit: int, lease: timedelta, /) -> Sequence[Line]:
        taken = await super().take(limit, lease)
        for line, row in self._own():
            if line in {each.line for each in taken}:
                row.heard = row.calls
        return taken


class ShowsKeysOfMessagesAlone(MemoryLot):
    """Does not look for the key of an event whose message has none."""

    caught_by = ("test_an_operator_is_shown_a_key_that_is_an_attribute_alone",)

    async def lines(self, limit: int, /) -> Sequence[Waiting]:
        first = {line: row.entries[0][2].delivery for line, row in self._own()}
        return [replace(one, key=first[one.line].key) for one in await super().lines(limit)]


class SweepsNothing(MemoryLot):
    """Finds no line that was not called."""

    caught_by = (
        "test_a_line_of_an_epoch_that_is_over_is_found_and_one_of_the_next_is_not",
        "test_a_line_whose_stream_has_reached_it_is_found_though_nobody_called",
        "test_so_many_lines_are_called_at_once_and_the_others_then",
    )

    async def sweep(self, limit: int, /) -> int:
        return 0


class CallsInSilence(MemoryLot):
    """Does not tell which lines it has called."""

    caught_by = ("test_who_calls_is_told_which_lines_there_are",)

    async def call(self, lines: Sequence[bytes] | None = None, /) -> frozenset[bytes]:
        await super().call(lines)
        return frozenset()


class GivesUpAtAStart(MemoryLot):
    """Lets every gap go at a start (R1)."""

    caught_by = ("test_a_gap_is_let_go_of_by_name_and_not_by_a_start",)

    async def revive(self, lines: Sequence[bytes] | None = None, /) -> int:
        return await super().revive([line for line, _ in self._own()] if lines is None else lines)


class SparesWhatIsBehind(MemoryLot):
    """Forgets with the first event of a line that all of it was given up."""

    caught_by = ("test_a_line_that_is_given_up_stays_so_for_whoever_goes_on_with_it",)

    async def take(self, limit: int, lease: timedelta, /) -> Sequence[Line]:
        return [replace(line, doomed=False) for line in await super().take(limit, lease)]


class DropsAll(MemoryLot):
    """Drops a line whole where only its first event is to go."""

    caught_by = ("test_an_operator_drops_the_first_of_a_line_or_all_of_it",)

    async def drop(self, lines: Sequence[bytes], most: int | None, /) -> int:
        return await super().drop(lines, None)


class PutsNothingOff(MemoryLot):
    """Lets patience run out although the number is at work."""

    caught_by = ("test_a_line_whose_number_is_at_work_is_put_off_and_called_all_the_same",)

    async def postpone(self, lines: Sequence[bytes], due: timedelta, /) -> None:
        pass


class PutsAllOff(MemoryLot):
    """Puts off what is held, and what somebody lets go on."""

    caught_by = ("test_what_is_held_or_let_go_on_by_somebody_is_not_put_off",)

    async def postpone(self, lines: Sequence[bytes], due: timedelta, /) -> None:
        for line, row in self._own():
            if line in lines:
                row.due = self._rows.clock.now() + due


class LeavesNothing(MemoryLot):
    """Lays an event into a second line, whoever works on the first."""

    caught_by = ("test_an_event_goes_from_one_line_to_another_in_one_transaction",)

    async def append(self, events: Sequence[Parking], /) -> Sequence[Laid]:
        return await super().append([replace(event, leaves=None) for event in events])


class KeepsCopies(MemoryLot):
    """Leaves a copy waiting for a number that has come (R12)."""

    caught_by = (
        "test_a_copy_that_waits_for_its_number_is_no_hindrance_to_the_event_itself",
        "test_a_copy_that_waits_is_no_hindrance_either_behind_others",
        "test_a_line_ends_with_a_copy_that_was_alone_in_it",
    )

    def _take_out(self, line: bytes, row: Row, place: int) -> None:
        pass


class SeesNoConflicts(MemoryLot):
    """Takes another payload under one id for a copy (I10)."""

    caught_by = ("test_another_payload_under_the_id_of_a_copy_is_a_conflict",)

    def _lay(self, event: Parking) -> Laid:
        laid = super()._lay(event)
        return Laid.THERE if laid is Laid.CONFLICT else laid

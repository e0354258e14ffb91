"""The sequencer by its model: every order of arrival, every loss, every restart."""

import tracemalloc
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.delivery.numbered import Arrival, Fate, Gap, Room
from choreo.delivery.numbering import NO_NUMBER
from choreo.delivery.sequencer import REQUESTS, Sequencer
from choreo.gaps import LARGEST, Gaps, Policy
from choreo.store.streams import NOT_BEGUN, Position
from tests.order.world import STREAM, Numbered, Process, Table

WAIT = Gaps(policy="wait")
SKIP = Gaps(policy="skip", patience=timedelta(seconds=10))


@pytest.mark.parametrize("count", range(1, 7))
def test_every_order_of_arrival_is_handled_in_the_one_order(count: int) -> None:
    numbers = range(1, count + 1)
    for order in permutations(numbers):
        process = Process(Table(), WAIT)

        for number in order:
            process.deliver((0, number))
        process.drain()

        assert process.table.done == [(0, number) for number in numbers]
        assert process.unsettled == []
        assert len(process.sequencer) == process.sequencer.events == process.sequencer.size == 0


@pytest.mark.parametrize("order", sorted({*permutations([1, 2, 2, 3, 3])}))
def test_copies_are_neither_handled_nor_late_whatever_their_order(order: tuple[int, ...]) -> None:
    process = Process(Table(), WAIT)

    for number in order:
        process.deliver((0, number))
    process.drain()

    assert process.table.done == [(0, 1), (0, 2), (0, 3)]
    assert process.table.late == []
    assert process.unsettled == []


@pytest.mark.parametrize("order", list(permutations([(1, 1), (1, 2), (2, 1), (2, 2)])))
def test_a_later_epoch_follows_the_earlier_whose_rest_is_stale(
    order: tuple[Numbered, ...],
) -> None:
    """R4."""
    process = Process(Table(), WAIT)

    for event in order:
        process.deliver(event)
        process.drain()
    process.tick(1_000)
    process.drain()

    assert process.table.done == sorted(process.table.done)
    assert {(2, 1), (2, 2)} <= {*process.table.done}
    assert {*process.table.done, *process.table.late} == {*order}
    assert process.unsettled == []


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(0, 11)),
        st.tuples(st.just("run"), st.integers(1, 3)),
        st.tuples(st.just("wait"), st.sampled_from([1, 9, 30])),
        st.tuples(st.sampled_from(["kill", "rival"]), st.just(0)),
    ),
    max_size=60,
)
EVENTS = [(epoch, number) for epoch in (1, 2) for number in range(1, 7)]


def played(steps: list[Step], policy: Policy) -> tuple[Table, set[Numbered]]:
    """Go through *steps*, then let everything that was handed over come to its end."""
    table = Table()
    gaps = Gaps(policy=policy, patience=timedelta(seconds=10))
    process, sent = Process(table, gaps), set[Numbered]()
    for name, value in steps:
        if name == "deliver":
            sent.add(EVENTS[value])
            process.deliver(EVENTS[value])
        elif name == "run":
            for _ in range(value):
                process.run()
        elif name == "wait":
            process.tick(value)
        else:
            process = taken_over(process, gaps, rival=name == "rival")
    for _ in range(50):
        process.drain()
        process.tick(100)
    return table, sent


def taken_over(process: Process, gaps: Gaps, *, rival: bool) -> Process:
    """Start another process, which is handed all that the first had not settled.

    A *rival* is one that the first does not know of: it still ends something afterwards.
    """
    successor = Process(process.table, gaps)
    for event in process.unsettled:
        successor.deliver(event)
    if rival:
        successor.run()
        process.run()
        process.tick(30)
        process.drain()
    return successor


@given(steps=STEPS, policy=st.sampled_from(["skip", "wait", "resend"]))
def test_no_event_is_handled_twice_or_out_of_order(steps: list[Step], policy: Policy) -> None:
    """R3, R4, R6, R13: duplicates, gaps, swaps, restarts of consumer and producer, two owners."""
    table, sent = played(steps, policy)

    assert table.done == sorted(set(table.done))
    assert {*table.done, *table.late} <= sent
    assert not {*table.done} & {*table.late}
    if policy != "wait":
        assert {*table.done, *table.late} == sent


@given(steps=STEPS)
def test_a_stream_that_waits_ends_nothing_before_its_predecessor(steps: list[Step]) -> None:
    """Numbers are given up only for an epoch that has ended."""
    table, sent = played(steps, "wait")

    last = max((epoch for epoch, _ in sent), default=1)
    done = [number for epoch, number in table.done if epoch == last]
    assert done == list(range(1, len(done) + 1))


def test_a_gap_is_given_up_after_patience_and_not_before() -> None:
    """R1: what is behind it follows, and the stream says what was skipped."""
    process = Process(Table(), SKIP)
    for number in (1, 3, 4, 7):
        process.deliver((0, number))

    process.tick(9.999)
    process.drain()
    assert process.table.done == [(0, 1)]
    assert process.sequencer.next_due == 10

    process.tick(0.001)
    process.drain()
    assert process.table.done == [(0, 1), (0, 3), (0, 4), (0, 7)]
    assert process.table.skipped == 3
    assert [overdue.gap for overdue in process.overdue] == [
        Gap(STREAM, 0, 2, 2), Gap(STREAM, 0, 5, 6),
    ]  # fmt: skip


def test_what_comes_after_its_number_was_given_up_is_late_and_its_copy_a_duplicate() -> None:
    """R6."""
    process = Process(Table(), SKIP)
    process.deliver((0, 2))
    process.tick(10)

    process.deliver((0, 1))
    process.deliver((0, 2))
    process.drain()

    assert process.table.done == [(0, 2)]
    assert process.table.late == [(0, 1)]


def test_two_owners_around_the_deadline_agree() -> None:
    """R13: one gives the gap up while the other is handed what was missing."""
    table = Table()
    hasty, patient = Process(table, SKIP), Process(table, SKIP)
    for process in (hasty, patient):
        process.deliver((0, 2))
    patient.deliver((0, 1))
    hasty.tick(10)

    patient.run()
    hasty.drain()
    patient.drain()

    assert table.done == [(0, 1), (0, 2)]
    assert table.late == []
    assert table.skipped == 0


def test_a_stream_is_waited_for_as_long_as_it_takes_and_told_of_once() -> None:
    process = Process(Table(), WAIT)
    process.deliver((0, 2))
    process.tick(1_000)
    process.deliver((0, 3))
    process.tick(1_000)
    process.drain()

    assert process.table.done == []
    assert [overdue.decision for overdue in process.overdue] == ["wait"]
    assert process.sequencer.next_due is None


def test_a_source_is_asked_a_few_times_before_its_numbers_are_given_up() -> None:
    process = Process(Table(), Gaps(policy="resend", patience=timedelta(seconds=10)))
    process.deliver((0, 3))

    for _ in range(REQUESTS + 1):
        process.tick(10)
    process.drain()

    assert [overdue.decision for overdue in process.overdue] == ["resend"] * REQUESTS + ["skip"]
    assert process.table.done == [(0, 3)]


def test_a_stream_without_a_known_beginning_begins_with_the_lowest_that_comes_in_time() -> None:
    process = Process(Table(), Gaps(policy="wait", first=None, patience=timedelta(seconds=10)))
    for number in (502, 501, 505):
        process.deliver((0, number))

    process.tick(10)
    process.drain()

    assert process.table.done == [(0, 501), (0, 502)]
    assert process.table.skipped == 0


@given(number=st.integers(0, LARGEST))
def test_a_wild_number_moves_no_stream(number: int) -> None:
    """R7."""
    process = Process(Table(), Gaps(policy="skip", max_jump=100, patience=timedelta(seconds=1)))
    process.deliver((0, number))
    process.tick(5)
    process.drain()

    assert process.table.position.next <= 102
    assert bool(process.quarantined) == (number > 101)


@pytest.mark.parametrize("first", [1, None])
@pytest.mark.parametrize("stands", [(0, 1), (2, 5)])
@pytest.mark.parametrize("epoch", [0, 3])
def test_what_is_no_number_begins_no_stream_and_is_neither_late_nor_held(
    first: int | None, stands: tuple[int, int], epoch: int
) -> None:
    """R7: with the stream's beginning unknown it was waited for, and the stream began with it."""
    sequencer: Sequencer[str] = Sequencer(Room(events=10, size=10))
    gaps = Gaps(first=first, late="handle")
    place = Position(0, NOT_BEGUN) if first is None and stands == (0, 1) else Position(*stands)
    sequencer.open(STREAM, gaps, place)

    (move,) = sequencer.offer(STREAM, Arrival(epoch, NO_NUMBER, 1, "none", 0.0), 0.0)

    assert move.fate is Fate.JUMP
    assert sequencer.events == 0


def test_a_million_events_behind_one_gap_stay_within_the_stated_bounds() -> None:
    """R8: what finds no room is quarantined; the next stream is not concerned."""
    gaps = Gaps(policy="wait", events=1_000, max_jump=2_000_000)
    sequencer: Sequencer[int] = Sequencer(Room(events=5_000))
    sequencer.open(STREAM, gaps, Position())
    other = (0, "source", "other")
    peak = 0
    tracemalloc.start()

    overflowed = 0
    for number in range(2, 1_000_002):
        moves = sequencer.offer(STREAM, Arrival(0, number, 100, number), 0.0)
        overflowed += moves[0].fate is Fate.OVERFLOW
        if number == 20_000:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()  # watching every allocation of a million takes too long
    sequencer.open(other, gaps, Position())

    assert overflowed == 999_000
    assert (sequencer.events, sequencer.size) == (1_000, 100_000)
    assert peak < 2 * 1024 * 1024
    assert sequencer.offer(other, Arrival(0, 1, 100, 1), 0.0)[0].fate is Fate.READY


def test_a_full_buffer_ends_the_patience_of_a_stream_that_skips() -> None:
    """R8: nothing is dead-lettered for want of room where a gap may be given up."""
    process = Process(Table(), Gaps(policy="skip", events=10, max_jump=10_000))
    for number in range(2, 5_000, 2):
        process.deliver((0, number))
        process.drain()
    process.tick(10_000)
    process.drain()

    assert process.table.done == [(0, number) for number in range(2, 5_000, 2)]
    assert process.quarantined == []


def test_a_gap_that_fills_before_it_is_decided_about_costs_the_next_one_no_patience() -> None:
    """Where the stream stands is asked for in between, and an event may come meanwhile."""
    process = Process(Table(), SKIP)
    for now, number in ((0.0, 1), (0.0, 3), (9.0, 5)):
        process.now = now
        process.deliver((0, number))
    process.now = 10.0
    assert process.sequencer.due(process.now) == [STREAM]

    process.deliver((0, 2))

    assert process.sequencer.decide(STREAM, process.now) is None
    process.tick(8.9)
    process.deliver((0, 4))
    process.drain()
    assert process.table.skipped == 0
    assert process.table.done == [(0, number) for number in range(1, 6)]


def test_many_idle_streams_cost_nothing() -> None:
    """R14."""
    sequencer: Sequencer[int] = Sequencer(Room())
    for index in range(10_000):
        stream = (0, "source", str(index))
        sequencer.open(stream, SKIP, Position())
        assert sequencer.offer(stream, Arrival(0, 1, 1, 1), 0.0)[0].fate is Fate.READY
        assert sequencer.ended(stream, sequencer.life(stream)) == Position(0, 2)

    assert len(sequencer) == 0


def test_what_goes_elsewhere_is_let_go_of_and_what_stays_keeps_its_patience() -> None:
    process = Process(Table(), SKIP)
    for number in (2, 3, 5):
        process.deliver((0, number))

    assert process.sequencer.drop(lambda item: item[1] == 2) == [(0, 2)]
    assert process.sequencer.events == 2
    process.tick(10)

    assert [move.item for _, move in process.lane] == [(0, 3), (0, 5)]
    assert process.sequencer.drop(lambda _: True) == []

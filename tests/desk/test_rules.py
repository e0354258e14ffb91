"""What the desk decides without a broker: order, waves, pace, numbers, objections, counts."""

from collections.abc import Hashable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.desk.case import CHOREO, Case, State
from choreo.desk.conventions import Told
from choreo.desk.order import portions, rounds, waves
from choreo.desk.pace import Pace
from choreo.desk.ruling import Wish, generation, objection
from choreo.desk.selection import EVERY, Selection
from choreo.desk.statistics import statistics
from choreo.replay import MAX_REPLAYS, Action, Decision

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def case(
    identity: str = "1" * 32,
    *,
    lane: Hashable = "a",
    position: int = 0,
    stream: str = "orders-0",
    failed: timedelta = timedelta(0),
    **more: object,
) -> Case:
    told = Told(
        convention=CHOREO,
        topic="orders",
        stream=stream,
        position=position,
        handler="charge",
        reason="rejected",
        first_failed=NOW + failed,
        buried=NOW + failed,
    )
    values: dict[str, object] = {
        "told": told,
        "fingerprint": "0" * 8,
        "lane": lane,
        **more,
    }
    return Case(id=identity, topic="t", stream="t-0", position=0, ours=True, **values)  # type: ignore[arg-type]


def decision(action: Action = Action.REPLAY, number: int = 1) -> Decision:
    return Decision(letter="1" * 32, action=action, edition=0, generation=number, batch="b", at=NOW)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50)), unique=True), st.booleans())
def test_rounds_keep_each_lane_in_order_and_lose_nothing(
    letters: list[tuple[int, int]], lasting: bool
) -> None:
    """D8: by position where positions last, by time elsewhere."""
    cases = [
        case(f"{lane}-{place}", lane=lane, position=place, failed=timedelta(seconds=place))
        for lane, place in letters
    ]

    dealt = [each for turn in rounds(cases, lasting=lasting) for each in turn]

    assert sorted(each.id for each in dealt) == sorted(each.id for each in cases)
    for lane in range(5):
        places = [each.told.position for each in dealt if each.lane == lane]
        assert places == sorted(place for other, place in letters if other == lane)


def test_a_lane_that_changed_its_partition_is_ordered_by_time() -> None:
    """Positions of two partitions say nothing about each other."""
    old = case("old", position=900, stream="orders-0")
    new = case("new", position=3, stream="orders-7", failed=timedelta(seconds=1))

    assert [each.id for (each,) in rounds([new, old], lasting=True)] == ["old", "new"]


@given(st.lists(st.integers(0, 3)), st.integers(1, 5))
def test_no_wave_holds_two_letters_of_a_lane(lanes: list[int], most: int) -> None:
    cases = [case(str(place), lane=lane) for place, lane in enumerate(lanes)]

    cut = list(waves(cases, most))

    assert [each for wave in cut for each in wave] == cases
    for wave in cut:
        assert 0 < len(wave) <= most
        assert len({each.lane for each in wave}) == len(wave)


@given(st.lists(st.integers(0, 100)), st.integers(1, 100), st.integers(1, 10))
def test_portions_are_bounded(sizes: list[int], size: int, most: int) -> None:
    cases = [case(str(place), size=each) for place, each in enumerate(sizes)]

    cut = list(portions(cases, size=size, most=most))

    assert [each for portion in cut for each in portion] == cases
    for portion in cut:
        assert len(portion) <= most
        assert len(portion) == 1 or sum(each.size for each in portion) <= size


@pytest.mark.parametrize("rate", [0.5, 3, 100, 10_000])
def test_a_pace_is_kept_on_average(rate: float) -> None:
    pace, now, sent = Pace(rate), 0.0, 0

    while now < 60:
        now += pace.wait(sent, now)
        assert sent <= rate * now + 1e-6
        sent += pace.most(500)
        now += 0.001

    assert sent >= min(rate, 400) * 55


def test_a_number_is_the_same_for_whoever_replays_and_new_only_by_force() -> None:
    open_letter, sent = case(replays=2), case(replays=2, decision=decision(), sent=3)

    assert generation(open_letter, Wish()) == generation(sent, Wish(again=True)) == 3
    assert generation(sent, Wish(force=True)) == 4


def test_what_stays_where_it_is_says_why() -> None:
    replayed = case(decision=decision())
    spoilt = case(problem="packed headers are spoilt")
    tired = case(replays=MAX_REPLAYS)

    assert objection(case(), Wish()) is None
    assert objection(replayed, Wish()) == "it was replayed already: say --again"
    assert objection(replayed, Wish(again=True)) is None
    assert objection(spoilt, Wish(force=True)) == "it is spoilt and cannot be restored"
    assert objection(tired, Wish()) is not None
    assert objection(tired, Wish(force=True)) is None


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection(), True),
        (Selection(identity="1" * 8), True),
        (Selection(identity="1" * 7), False),
        (Selection(identity="e-1"), True),
        (Selection(event="OrderPlaced"), True),
        (Selection(event="OrderPlaced.v1"), True),
        (Selection(event="Order"), False),
        (Selection(handler="note"), False),
        (Selection(reason="rejected", key="k", fingerprint="00"), True),
        (Selection(since=NOW), True),
        (Selection(until=NOW), False),
        (Selection(states=frozenset({State.DROPPED})), False),
        (Selection(states=EVERY), True),
    ],
)
def test_a_selection_takes_what_all_its_filters_take(selection: Selection, taken: bool) -> None:
    letter = case(kind="OrderPlaced.v1", event_id="e-1", key="k")

    assert selection.takes(letter) is taken


def test_ages_are_counted_from_the_first_failure() -> None:
    ago = [timedelta(minutes=-5), timedelta(hours=-5), timedelta(days=-5), timedelta(days=-50)]

    counts = statistics([case(failed=each) for each in ago], NOW)

    assert set(counts.ages.values()) == {1}
    assert len(counts.ages) == 4
    assert (counts.oldest, counts.newest) == (NOW + ago[-1], NOW + ago[0])

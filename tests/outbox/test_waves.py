"""Which rows are handed over, and when: pure rules."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from choreo.delivery.waves import Refusing, Round
from choreo.message import Message
from choreo.retry import Retry
from choreo.store.outbox import Row

Fate = str
fates = st.sampled_from(["accepted", "accepted", "accepted", "refused", "unknown"])


def row(
    identity: int, lane: int = 0, *, attempts: int = 0, blocked: bool = False, problem: str = ""
) -> Row:
    return Row(
        id=identity,
        shard=0,
        lane=bytes([lane]) * 16,
        identity=str(identity),
        message=Message("orders", b""),
        created=datetime.now(UTC),
        attempts=attempts,
        blocked=blocked,
        waiting=attempts > 0,
        problem=problem,
    )


def ids(rows: Sequence[Row]) -> list[int]:
    return [one.id for one in rows]


@given(
    lanes=st.lists(st.integers(0, 3), max_size=20),
    outcomes=st.lists(fates, min_size=20, max_size=20),
    then=st.sampled_from(["hold", "pass"]),
    attempts=st.integers(1, 2),
)
def test_nothing_is_handed_over_before_its_predecessor_is_accepted(
    lanes: list[int], outcomes: list[Fate], then: str, attempts: int
) -> None:
    """P6, O5: whatever is refused or unknown, and in which order."""
    rows = [row(number, lane) for number, lane in enumerate(lanes)]
    policy = Refusing(retry=Retry(attempts=attempts), then="pass" if then == "pass" else "hold")
    going = Round(rows, policy, Random(1))
    fate = {number: outcomes[number] for number in range(len(lanes))}
    passed: set[int] = set()
    held: set[bytes] = set()
    behind: list[Row] = []

    while wave := list(going.wave()):
        for one in wave:
            before = [other.id for other in rows if other.lane == one.lane and other.id < one.id]
            assert set(before) <= passed
        refused = {i: "no" for i, one in enumerate(wave) if fate[one.id] == "refused"}
        unknown = {i: "?" for i, one in enumerate(wave) if fate[one.id] == "unknown"}
        going.landed(refused, unknown)
        settled = going.settled()
        passed |= {one.id for one in settled.accepted}
        passed |= {one.row.id for one in settled.refused if one.aside}
        held |= {one.row.lane for one in settled.refused if not one.aside}
        behind += settled.behind

    assert not any(fate[number] == "unknown" for number in passed)
    assert {one.lane for one in behind} <= held


def test_lanes_go_out_together() -> None:
    going = Round([row(1, 1), row(2, 2), row(3, 1), row(4, 3)], Refusing(), Random(1))

    first = ids(going.wave())
    going.landed()
    second = ids(going.wave())

    assert (first, second) == ([1, 2, 4], [3])


def test_a_run_of_one_lane_goes_out_in_one_call_where_that_is_asked_for() -> None:
    going = Round([row(number) for number in range(5)], Refusing(), Random(1), run=3)

    assert ids(going.wave()) == [0, 1, 2]


def test_a_row_that_was_refused_before_goes_alone() -> None:
    going = Round([row(1, attempts=1), row(2, attempts=0)], Refusing(), Random(1), run=3)

    first = ids(going.wave())
    going.landed()

    assert (first, ids(going.wave())) == ([1], [])


def test_refusals_are_tried_again_later_each_time_then_wait_for_an_operator() -> None:
    """O5."""
    retry = Retry(attempts=3, initial=timedelta(seconds=1), jitter=0)
    told: list[timedelta | None] = []
    for attempts in range(3):
        going = Round([row(1, attempts=attempts)], Refusing(retry=retry), Random(1))
        going.wave()
        going.landed({0: "too large"})
        (refusal,) = going.settled().refused
        told.append(refusal.again)
        assert (refusal.attempts, refusal.aside) == (attempts + 1, False)

    assert told == [timedelta(seconds=1), timedelta(seconds=2), None]


def test_rows_whose_lane_waits_join_it_unsent() -> None:
    going = Round([row(1, 1, blocked=True), row(2, 2)], Refusing(), Random(1))

    assert ids(going.wave()) == [2]
    assert ids(going.settled().behind) == [1]


def test_what_cannot_be_read_is_refused_unsent_and_holds_what_follows_in_its_lane_o5() -> None:
    rows = [row(1), row(2), row(3, problem="spoilt"), row(4), row(5, 1)]
    going = Round(rows, Refusing(), Random(1), run=10)

    waves: list[list[int]] = []
    while wave := going.wave():
        waves.append(ids(wave))
        going.landed()
    settled = going.settled()

    assert waves == [[1, 2, 5]]
    assert ids(settled.accepted) == [1, 2, 5]
    assert [(one.row.id, one.reason) for one in settled.refused] == [(3, "spoilt")]
    assert ids(settled.behind) == [4]


def test_what_cannot_be_read_and_is_given_up_lets_the_rest_of_its_lane_pass() -> None:
    rows = [row(1, problem="spoilt"), row(2, problem="spoilt"), row(3)]
    going = Round(rows, Refusing(retry=Retry(attempts=1), then="pass"), Random(1))

    waves: list[list[int]] = []
    while wave := going.wave():
        waves.append(ids(wave))
        going.landed()

    assert waves == [[3]]
    assert [(one.row.id, one.aside) for one in going.settled().refused] == [(1, True), (2, True)]

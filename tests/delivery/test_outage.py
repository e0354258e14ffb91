"""When many keys fail alike, what they share is down: the rule, without any I/O."""

from collections.abc import Callable, Hashable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from choreo.delivery.outage import FIRST, LONGEST, MEMORY, Outage, cause_of
from choreo.errors import DecodeError, Reject

DAY = 86_400.0


def outage(keys: int = 5) -> Outage:
    return Outage(keys, DAY)


def begun(now: float = 0.0) -> Outage:
    rule = outage()
    for lane in range(5):
        rule.failed(lane, "down", now)
    assert rule.cause == "down"
    return rule


def test_several_keys_that_fail_alike_are_an_outage_d11() -> None:
    rule = outage()

    assert [rule.failed(lane, "down", 0.0) for lane in range(6)] == [False] * 4 + [True] * 2
    assert not rule.admits(0.5, fresh=False)


def test_one_key_that_fails_often_is_none() -> None:
    rule = outage()

    assert not any(rule.failed("one", "down", float(n)) for n in range(1_000))


def test_different_failures_are_none() -> None:
    rule = outage()

    assert not any(rule.failed(lane, f"cause {lane}", 0.0) for lane in range(1_000))


def test_failures_among_many_successes_are_none() -> None:
    rule = outage()

    for lane in range(1_000):
        rule.succeeded()
        rule.succeeded()
        assert not rule.failed(lane, "down", 0.0)


def test_a_success_ends_it_and_everything_goes_on() -> None:
    rule = begun()

    assert rule.succeeded()
    assert rule.cause is None
    assert rule.admits(0.0, fresh=False)


def test_probes_grow_apart_up_to_a_limit() -> None:
    rule, now, moments = begun(), 0.0, list[float]()
    while len(moments) < 12:
        now += 0.25
        if rule.admits(now, fresh=False):
            moments.append(now)
            assert rule.failed("probe", "down", now)

    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert moments[0] == FIRST
    assert gaps == sorted(gaps)
    assert gaps[-1] == LONGEST


def test_those_that_were_running_when_it_began_do_not_delay_the_first_probe() -> None:
    rule = begun()
    for lane in range(100):
        rule.failed(lane, "down", 0.1)

    assert rule.admits(FIRST, fresh=False)


def test_an_event_never_tried_is_let_through_at_once_so_that_five_bad_ones_stop_nothing() -> None:
    rule = begun()

    assert rule.admits(0.0, fresh=True)
    assert not rule.admits(0.0, fresh=True)
    assert rule.succeeded()


def test_another_failure_during_an_outage_is_the_events_own() -> None:
    rule = begun()

    assert not rule.failed("other", "poison", 0.0)


def test_after_the_limit_attempts_count_again() -> None:
    rule = begun()

    assert rule.admits(DAY, fresh=False)
    assert not rule.failed("probe", "down", DAY)


def test_zero_keys_never_make_one() -> None:
    rule = outage(0)

    assert not any(rule.failed(lane, "down", 0.0) for lane in range(100))


def test_what_says_something_of_its_event_alone_is_never_counted() -> None:
    assert cause_of(Reject("no")) is None
    assert cause_of(DecodeError("bytes")) is None


def _refused(number: int) -> None:
    raise OSError(number)


def _lost(number: int) -> None:
    raise OSError(number)


def _cause(call: Callable[[int], None], number: int) -> Hashable:
    try:
        call(number)
    except OSError as error:
        return cause_of(error)
    raise AssertionError


def test_alike_means_raised_in_the_same_place() -> None:
    assert _cause(_refused, 1) == _cause(_refused, 2) != _cause(_lost, 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.sampled_from("ab")), max_size=200))
def test_an_outage_is_never_begun_by_fewer_keys_nor_outlives_a_success(
    steps: list[tuple[bool, int, str]],
) -> None:
    rule, failing, now = outage(3), dict[str, set[int]](), 0.0
    for ok, lane, cause in steps:
        now += 0.1
        if ok:
            was = rule.cause is not None
            assert rule.succeeded() == was
            assert rule.cause is None
            if was:
                failing.clear()
        else:
            failing.setdefault(cause, set()).add(lane)
            before = rule.cause
            rule.failed(lane, cause, now)
            if before is None and rule.cause is not None:
                assert len(failing[cause]) >= 3


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=400))
def test_a_rule_that_is_well_may_be_forgotten(steps: list[tuple[bool, int]]) -> None:
    kept, made_anew, now = outage(3), outage(3), 0.0
    for ok, lane in steps:
        now += 0.1
        if ok:
            assert kept.succeeded() == made_anew.succeeded()
        else:
            assert kept.failed(lane, "down", now) == made_anew.failed(lane, "down", now)
        assert kept.admits(now, fresh=False) == made_anew.admits(now, fresh=False)
        if made_anew.well:
            made_anew = outage(3)


def test_a_run_of_successes_makes_it_well_again() -> None:
    rule = outage()
    rule.failed("one", "down", 0.0)
    sick = rule.well

    for _ in range(MEMORY + 1):
        rule.succeeded()

    assert (sick, rule.well) == (False, True)

"""What of its time a service may count as having looked at its broker."""

from collections.abc import Sequence

import pytest

from choreo.delivery.sight import SHORT, SLOWLY, START, Sight

LONG = 8 * SHORT
AWAY = 20 * SHORT
CALLS = {"looks": Sight.looks, "takes": Sight.takes, "asks": Sight.asks}


def told(*story: tuple[float, str]) -> Sight:
    sight = Sight(0.0)
    sight.looks(0.0)
    for now, call in story:
        CALLS[call](sight, now)
    return sight


def test_all_time_counts_while_nothing_comes() -> None:
    assert told().seen(LONG) == LONG


def test_batches_that_are_taken_in_quickly_cost_no_patience() -> None:
    sight = told()
    for turn in range(1, 100):
        now = turn * SHORT
        sight.takes(now)
        sight.asks(now + SHORT / 4)
        sight.looks(now + SHORT / 2)

    assert sight.seen(100 * SHORT) == 100 * SHORT
    assert sight.rest(100 * SHORT) == 0


def test_a_batch_that_takes_long_counts_not_at_all_from_its_beginning_on() -> None:
    sight = told((1.0, "takes"))

    assert sight.seen(1.0 + SHORT / 2) == 1.0 + SHORT / 2
    assert sight.seen(1.0 + LONG) == 1.0
    sight.asks(1.0 + LONG)
    sight.looks(1.0 + LONG)
    assert sight.seen(2.0 + LONG) == 2.0


def test_nothing_is_given_up_for_as_long_again_as_nothing_was_read() -> None:
    sight = told((1.0, "takes"), (1.0 + LONG, "asks"))

    assert sight.rest(1.0 + LONG) == LONG
    assert sight.moment(1.0) == 1.0 + 2 * LONG
    assert sight.rest(1.0 + 2 * LONG) == 0


def test_patience_ends_where_the_store_stalls_again_and_again_and_answers_between() -> None:
    sight, now = told(), 0.0
    for _ in range(50):
        sight.takes(now)
        sight.asks(now + SHORT)
        sight.looks(now + SHORT)
        now += 4 * SHORT

    assert sight.seen(now) == pytest.approx(now * 3 / 4)
    assert sight.rest(now - SHORT) == 0


def test_want_of_room_counts_a_tenth_and_needs_no_rest() -> None:
    sight = told((1.0, "takes"), (1.0, "asks"))

    assert sight.seen(1.0 + LONG) == pytest.approx(1.0 + SLOWLY * LONG)
    sight.looks(1.0 + LONG)
    assert sight.seen(1.0 + LONG) == pytest.approx(1.0 + SLOWLY * LONG)
    assert sight.rest(1.0 + LONG) == 0


def test_a_process_that_stood_still_has_seen_nothing_meanwhile() -> None:
    sight = told()

    sight.stood(LONG, LONG)

    assert sight.seen(LONG) == 0
    assert sight.rest(LONG) == LONG


def test_a_process_that_stood_still_over_a_batch_has_lost_that_time_once() -> None:
    sight = told((1.0, "takes"))

    sight.stood(LONG, 1.0 + LONG)
    sight.asks(1.0 + LONG)

    assert sight.seen(1.0 + LONG) == 1.0


@pytest.mark.parametrize(
    ("story", "shown"),
    [
        ([], True),
        ([(1.0, "takes")], False),
        ([(1.0, "takes"), (2.0, "asks")], False),
        ([(1.0, "takes"), (2.0, "asks"), (LONG, "looks")], False),
        ([(1.0, "takes"), (2.0, "asks"), (LONG - SHORT, "looks")], True),
        ([(1.0, "takes"), (2.0, "asks"), (3.0, "looks"), (3.0, "takes")], False),
        ([(1.0, "takes"), (2.0, "asks"), (3.0, "looks"), (3.0, "takes"), (3.5, "asks")], True),
    ],
)
def test_a_look_shows_what_is_there_once_it_is_taken_in_or_nothing_comes_for_long(
    story: Sequence[tuple[float, str]], shown: object
) -> None:
    sight = told(*story[:1])
    look = sight.next_look

    for now, call in story[1:]:
        CALLS[call](sight, now)

    assert sight.through(look, LONG) is shown


def cut_off(begun: float, ended: float, *, unheard: float = 0.0) -> Sight:
    sight = told()
    sight.lost(begun, unheard)
    sight.found(ended)
    return sight


def test_nothing_counts_while_the_broker_is_out_of_reach() -> None:
    sight = told()

    sight.lost(1.0, 0.0)

    assert sight.seen(1.0 + AWAY) == 1.0
    sight.found(1.0 + AWAY)
    assert sight.seen(2.0 + AWAY) == 2.0


def test_what_was_silent_before_the_loss_was_noticed_does_not_count_either() -> None:
    assert cut_off(3.0, 3.0 + AWAY, unheard=2.0).seen(4.0 + AWAY) == 2.0


@pytest.mark.parametrize("call", CALLS)
def test_what_is_done_with_the_rest_while_the_broker_is_out_of_reach_counts_once(
    call: str,
) -> None:
    sight = told((1.0, "takes"))
    sight.lost(1.0, 0.0)

    CALLS[call](sight, 1.0 + AWAY / 2)
    sight.stood(AWAY, 1.0 + AWAY)
    sight.lost(1.0 + AWAY, 0.0)
    sight.found(1.0 + AWAY)
    sight.found(1.0 + AWAY)

    assert sight.seen(1.0 + AWAY) == 1.0


def test_nothing_is_given_up_for_as_long_again_as_the_broker_was_away() -> None:
    assert cut_off(1.0, 1.0 + AWAY).moment(1.0) == 1.0 + 2 * AWAY


def test_after_a_long_outage_others_have_as_much_time_as_they_pause_before_an_attempt() -> None:
    assert cut_off(1.0, 1.0 + 10 * START).rest(1.0 + 10 * START) == START


def test_no_look_is_through_while_the_broker_is_out_of_reach() -> None:
    sight = told()
    look = sight.next_look
    sight.lost(1.0, 0.0)

    sight.takes(2.0)
    sight.asks(2.0)
    sight.looks(2.0)

    assert not sight.through(look, 2.0 + LONG)


def test_a_look_is_through_once_the_broker_that_was_away_has_nothing_more() -> None:
    sight = cut_off(1.0, 1.0 + AWAY)
    back = 1.0 + AWAY

    assert not sight.through(sight.next_look, back + SHORT / 2)
    assert sight.through(sight.next_look, back + SHORT)


def test_what_a_broker_that_was_away_still_has_is_read_before_a_look_is_through() -> None:
    """Whoever never sees it idle goes on after as much time as it was away."""
    sight = cut_off(1.0, 1.0 + AWAY)
    back, look = 1.0 + AWAY, sight.next_look

    shown: list[bool] = []
    for turn in range(1, 41):
        now = back + turn * SHORT
        sight.takes(now - SHORT / 4)
        sight.asks(now)
        sight.looks(now)
        shown.append(sight.through(look, now))

    assert shown == [False] * 19 + [True] * 21


def test_a_broker_that_was_seen_idle_since_its_return_is_caught_up() -> None:
    sight = cut_off(1.0, 1.0 + AWAY)
    now = 1.0 + AWAY + SHORT

    sight.takes(now)
    sight.asks(now)

    assert sight.away(now) is None
    assert sight.away(now - 1.0) is None


def test_a_return_that_nobody_missed_changes_nothing() -> None:
    sight = told()

    sight.found(LONG)

    assert sight.seen(LONG) == LONG
    assert sight.through(sight.next_look, LONG)

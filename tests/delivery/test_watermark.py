import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.delivery.watermark import WIDE, Finished, Watermark

LIMIT = 4_096

steps = st.integers(1, 6) | st.sampled_from((WIDE, WIDE + 1, WIDE + 2, 10**12))
streams = st.lists(steps, min_size=1, max_size=60).flatmap(
    lambda steps: st.tuples(
        st.just(steps), st.permutations(range(len(steps))), st.integers(0, len(steps))
    )
)
"""Distances between positions (holes included), an order of finishing, and where it is cut off."""


def played(steps: list[int], order: list[int], count: int) -> tuple[Watermark, list[int], set[int]]:
    mark = Watermark(100)
    positions: list[int] = []
    position = 99
    for step in steps:
        position += step
        positions.append(position)
        mark.take(position)
    finished = {positions[index] for index in order[:count]}
    for index in order[:count]:
        mark.finish(positions[index])
    return mark, positions, finished


@given(streams)
def test_the_watermark_never_passes_unfinished_work_k1(
    stream: tuple[list[int], list[int], int],
) -> None:
    mark, positions, finished = played(*stream)

    unfinished = [position for position in positions if position not in finished]

    assert mark.position == (unfinished[0] if unfinished else positions[-1] + 1)
    assert mark.unfinished == len(unfinished)


@given(streams)
def test_the_metadata_tells_exactly_what_is_finished_above_the_watermark(
    stream: tuple[list[int], list[int], int],
) -> None:
    mark, positions, finished = played(*stream)

    text, whole = mark.metadata(LIMIT)
    known = Finished.decode(mark.position, text)

    assert whole
    above = [position for position in positions if position >= mark.position]
    assert {p for p in above if p in known} == {p for p in above if p in finished}


moves = st.lists(
    st.tuples(st.sampled_from(("take", "take_to", "skip_to")), steps)
    | st.tuples(st.just("finish"), st.integers(0, 10**12) | st.integers(0, 40))
    | st.tuples(st.just("ask"), st.just(0)),
    max_size=80,
)
"""What is done with a mark, and how far from the newest position, or how far below it."""


@given(moves)
def test_a_watermark_is_what_a_set_of_unfinished_positions_says_k1_k2(
    done: list[tuple[str, int]],
) -> None:
    mark, unfinished, seen = Watermark(7), set[int](), 7

    for move, number in done:
        if move == "take":
            mark.take(seen + number - 1)
            unfinished.add(seen + number - 1)
            seen += number
        elif move == "take_to" and number <= WIDE:
            mark.take_to(seen + number)
            unfinished |= set(range(seen, seen + number))
            seen += number
        elif move == "skip_to":
            mark.skip_to(seen + number)
            seen += number
        elif move == "finish":
            position = min(unfinished, default=0) + number if number % 2 else seen - number
            mark.finish(position)
            unfinished.discard(position)

        elif move == "ask":
            assert mark.position == min(unfinished, default=seen)
            assert mark.span == seen - mark.position
        assert mark.seen == seen
        assert mark.unfinished == len(unfinished)
    assert mark.position == min(unfinished, default=seen)
    assert mark.remaining() == sorted(unfinished)


def test_a_stream_with_wide_holes_behind_an_unfinished_event_takes_little_memory() -> None:
    mark = Watermark(0)
    mark.take(0)

    for number in range(1, 100):
        mark.take(number * 10**9)

    assert mark.span == 99 * 10**9 + 1
    mark.finish(0)
    assert mark.position == 10**9


def test_holes_count_as_done_k2() -> None:
    mark = Watermark(0)
    mark.take(3)
    mark.take(9)

    mark.finish(3)
    assert mark.position == 9
    mark.finish(9)
    assert mark.position == 10


def test_trailing_holes_are_passed_over_when_told_k2() -> None:
    mark = Watermark(5)
    mark.skip_to(9)

    assert mark.position == 9


def test_finishing_twice_is_once() -> None:
    mark = Watermark(0)
    mark.take(0)
    mark.take(1)

    mark.finish(0)
    mark.finish(0)
    assert mark.position == 1


def test_a_position_is_taken_once() -> None:
    mark = Watermark(0)
    mark.take(4)

    with pytest.raises(ValueError, match="taken before"):
        mark.take(4)


def test_metadata_stays_within_its_limit_and_says_what_it_left_out() -> None:
    mark = Watermark(0)
    for position in range(10_000):
        mark.take(position)
    for position in range(1, 10_000, 2):
        mark.finish(position)

    text, whole = mark.metadata(LIMIT)
    known = Finished.decode(mark.position, text)

    assert not whole
    assert len(text) <= LIMIT
    assert all(position % 2 == 1 for position in range(10_000) if position in known)
    assert len(known) > 1_000


@given(st.integers(0, 2**62), st.text(max_size=200))
def test_metadata_of_others_means_that_nothing_is_known(committed: int, text: str) -> None:
    known = Finished.decode(committed, text)

    assert len(known) >= 0


@pytest.mark.parametrize("text", ["", "c1", "c1!!!!", "c1gA==", "c1AQ==", "other", "c1" + "/" * 60])
def test_damaged_metadata_is_no_error(text: str) -> None:
    assert len(Finished.decode(7, text)) == 0


def test_what_an_earlier_owner_had_finished_stays_finished_in_the_next_ones_metadata() -> None:
    mark = Watermark(10)
    mark.take(10)
    mark.take(14)
    mark.skip_to(17)

    known = Finished.decode(10, mark.metadata(LIMIT)[0])

    assert [position for position in range(10, 20) if position in known] == [11, 12, 13, 15, 16]


def test_what_is_inherited_is_handed_on_before_the_stream_has_got_there() -> None:
    mark = Watermark(10, Finished([(12, 15), (20, 30), (31, 33)]))
    mark.take(10)
    mark.take(11)
    mark.take(15)
    mark.take(16)
    mark.finish(16)

    known = Finished.decode(mark.position, mark.metadata(LIMIT)[0])

    assert mark.position == 10
    expected = [12, 13, 14, 16, *range(20, 30), 31, 32]
    assert [position for position in range(40) if position in known] == expected


@given(streams, streams)
def test_generations_of_owners_forget_nothing_that_any_of_them_finished(
    first: tuple[list[int], list[int], int], second: tuple[list[int], list[int], int]
) -> None:
    mark, positions, finished = played(*first)
    known = Finished.decode(mark.position, mark.metadata(LIMIT)[0])
    heir = Watermark(mark.position, known)
    left = [p for p in positions if p >= mark.position and p not in known]
    taken = left[: second[2]]
    for position in taken:
        heir.take(position)
    done = set(taken[::2])
    for position in done:
        heir.finish(position)

    again = Finished.decode(heir.position, heir.metadata(LIMIT)[0])

    for position in positions:
        over = position < heir.position or position in again
        assert over == (position in finished or position in done)

from collections import defaultdict
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from choreo.delivery.lanes import Lanes


def drained(lanes: Lanes[tuple[str, int]], order: list[int]) -> list[tuple[str, int]]:
    """Finish ready items in an order picked by *order*, until none is left."""
    done: list[tuple[str, int]] = []
    picks = iter(order)
    while lanes.ready:
        index = next(picks, 0) % len(lanes.ready)
        item = lanes.ready[index]
        del lanes.ready[index]
        done.append(item)
        lanes.release(item[0])
    return done


@given(
    arrivals=st.lists(st.sampled_from("abc"), max_size=30),
    order=st.lists(st.integers(0, 10), max_size=30),
)
def test_a_lane_keeps_its_order_whatever_finishes_first(
    arrivals: list[str], order: list[int]
) -> None:
    lanes: Lanes[tuple[str, int]] = Lanes()
    expected: dict[str, list[int]] = defaultdict(list)
    for number, lane in enumerate(arrivals):
        lanes.add(lane, (lane, number))
        expected[lane].append(number)

    done = drained(lanes, order)

    seen: dict[str, list[int]] = defaultdict(list)
    for lane, number in done:
        seen[lane].append(number)
    assert seen == expected
    assert len(lanes) == 0
    assert lanes.queued == 0


def test_one_item_of_a_lane_is_out_at_a_time() -> None:
    lanes: Lanes[str] = Lanes()
    for item in ("first", "second"):
        lanes.add("k", item)
    lanes.add("other", "third")

    assert list(lanes.ready) == ["first", "third"]
    assert lanes.queued == 1


def test_an_item_that_waits_for_another_attempt_holds_its_lane() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.add("k", "failing")
    lanes.add("k", "next")
    lanes.ready.popleft()

    assert not lanes.ready

    lanes.again("failing")
    assert list(lanes.ready) == ["failing"]


def test_idle_lanes_are_forgotten_r14() -> None:
    lanes: Lanes[int] = Lanes()
    for number in range(10_000):
        lanes.add(number, number)
        lanes.ready.popleft()
        lanes.release(number)

    assert len(lanes) == 0


def test_dropping_takes_queued_items_only_and_keeps_the_rest_in_order() -> None:
    for wanted in permutations(range(4), 2):
        lanes: Lanes[int] = Lanes()
        for number in range(4):
            lanes.add("k", number)

        dropped = lanes.drop(lambda item, keep=frozenset(wanted): item not in keep)  # type: ignore[misc]

        assert dropped == [number for number in (1, 2, 3) if number not in wanted]
        assert drained_numbers(lanes) == [0, *sorted(number for number in wanted if number)]


def drained_numbers(lanes: Lanes[int]) -> list[int]:
    done: list[int] = []
    while lanes.ready:
        done.append(lanes.ready.popleft())
        lanes.release("k")
    return done

"""What the bench makes of what it measures; how fast anything is, is for ``make bench`` to say."""

import asyncio
import json

import pytest

from bench.measure import Run, Stopwatch, Taken, compared, side_by_side


def runs(*taken: Taken) -> Run:
    left = iter(taken)

    async def run() -> Taken:
        return next(left)

    return run


async def test_the_ratio_is_the_median_of_the_rounds_after_the_first() -> None:
    ours = runs(Taken(10, 9.0, 1), Taken(10, 1.0, 1), Taken(10, 2.0, 1), Taken(10, 4.0, 1))
    peer = runs(Taken(10, 1.0, 1), *3 * [Taken(10, 4.0, 1)])

    result = await side_by_side("some", ours, peer, runs=3)

    assert (result.low, result.ratio, result.high) == (1.0, 2.0, 4.0)


async def test_a_lower_cost_is_a_higher_ratio() -> None:
    ours, peer = runs(*2 * [Taken(10, 1, 1e-5)]), runs(*2 * [Taken(10, 1, 4e-5)])

    result = await side_by_side("some", ours, peer, runs=1, unit="µs CPU")

    assert (result.choreo, result.peer, result.ratio) == (1.0, 4.0, 4.0)


async def test_choreo_and_peer_take_turns_in_going_first() -> None:
    order: list[str] = []

    def named(name: str) -> Run:
        async def run() -> Taken:
            order.append(name)
            return Taken(1, 1, 1)

        return run

    await side_by_side("some", named("choreo"), named("peer"), runs=2)

    assert order == ["peer", "choreo", "choreo", "peer", "peer", "choreo"]


async def test_a_peer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.RUN_SECONDS", 0.01)

    async def stuck() -> Taken:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(TimeoutError):
        await side_by_side("some", runs(Taken(1, 1, 1)), stuck, runs=1)


def test_a_result_is_one_line_of_json_with_the_fields_that_it_names() -> None:
    line = compared("some", [(2.0, 1.0)], unit="events/s", better="more").line()

    named = json.loads(line)
    assert "\n" not in line
    assert named | {"cpu": None} == {
        "name": "some", "ratio": 2.0, "low": 2.0, "high": 2.0, "choreo": 2.0, "peer": 1.0,
        "unit": "events/s", "runs": 1, "cpu": None,
    }  # fmt: skip


def test_a_stopwatch_begins_once() -> None:
    watch = Stopwatch()
    watch.begin()
    first = watch.took(1)
    watch.begin()

    assert watch.took(1).seconds >= first.seconds

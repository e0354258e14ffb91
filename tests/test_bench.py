"""What the bench makes of what it measures; how fast anything is, is for ``make bench`` to say."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from bench import keys, latency
from bench.budget import Measure, each_of, missed
from bench.child import Child
from bench.events import KEYS, loads
from bench.flame import drawn
from bench.measure import Result, Run, Stopwatch, Taken, compared, side_by_side


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


def test_measures_that_are_made_together_are_run_once(capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[str] = []

    async def both(runs: int, address: str) -> Sequence[Result]:
        calls.append(address)
        return [compared(name, [(1.0, runs)], unit="ms", better="less") for name in ("b", "a")]

    found = list(each_of([Measure(name, "", 1.0, both) for name in ("a", "b")], 3, "here"))

    assert calls == ["here"]
    assert [(measure.name, result.name) for measure, result in found] == [("a", "a"), ("b", "b")]
    assert [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()] == ["a", "b"]


def test_a_budget_is_missed_below_it_and_met_at_it() -> None:
    async def never(_: int, __: str) -> Sequence[Result]:
        raise AssertionError

    measure = Measure("some", "", 2.0, never)

    met = compared("some", [(4.0, 2.0)], unit="events/s", better="more")
    below = compared("some", [(3.9, 2.0)], unit="events/s", better="more")

    assert (missed(measure, met), missed(measure, below)) == (False, True)


def test_what_a_key_keeps_is_what_the_many_have_added_to_the_few() -> None:
    few, key = 60_000_000, 120

    assert keys.bytes_a_key(few + key * (keys.MANY - keys.FEW), few) == key
    assert keys.bytes_a_key(few - 1, few) == 1, "nothing can be divided by nothing"


def test_a_quantile_is_the_wait_that_so_large_a_part_does_not_exceed() -> None:
    waits = [float(number) for number in range(1_000, 0, -1)]

    found = [latency.at(waits, quantile) for quantile in (0.5, 0.99, 0.999, 1.0)]

    assert found == [501.0, 991.0, 1_000.0, 1_000.0]


def test_an_event_waits_from_when_it_was_due_though_it_was_published_late() -> None:
    handled = [10.001, 10.500, 10.501]

    waits = latency.waited(handled, began=10.0, rate=100.0)

    assert waits == pytest.approx([1.0, 490.0, 481.0])


def test_arrivals_are_told_apart_by_run_and_each_has_its_place() -> None:
    arrivals = latency.Arrivals()
    arrivals.expect("now", KEYS + 1)

    for load in [*loads("before", 1), *loads("now", KEYS + 1)]:
        arrivals.note(load)

    assert arrivals.done.is_set()
    assert all(arrivals.times)
    assert arrivals.times == sorted(arrivals.times)


def test_an_event_out_of_order_ends_a_run_of_latencies() -> None:
    arrivals = latency.Arrivals()
    arrivals.expect("now", KEYS + 1)

    with pytest.raises(AssertionError, match="customer-0"):
        arrivals.note(loads("now", 1, first=KEYS)[0])


async def test_a_process_of_the_bench_answers_until_nothing_more_is_asked() -> None:
    async with Child.running("tests.echo_child") as child:
        answers = [await child.ask(question) for question in ("1.5", "2")]

    assert answers == [{"twice": 3.0}, {"twice": 4.0}]


async def test_a_process_of_the_bench_that_dies_is_told_of() -> None:
    async with Child.running("tests.echo_child") as child:
        with pytest.raises(RuntimeError, match="'no number'"):
            await child.ask("no number")


def test_a_flame_shows_each_branch_with_its_share_the_largest_first() -> None:
    met = {("run", "read"): 30, ("run", "handle"): 60, ("run", "handle", "note"): 9, ("rare",): 1}

    assert list(drawn(met)) == [" 99% run", "   69% handle", "      9% note", "   30% read"]

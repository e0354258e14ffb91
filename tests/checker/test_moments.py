"""What is judged by when it was, and whoever did it: lasting faults, ends told twice, commits."""

from choreo.testing.checker import check
from tests.checker.runs import changed, clean, entry

START = {"id": "o3", "key": "a", "seq": 3, "handler": "charge", "proc": "payment-2"}


def test_a_fault_without_an_end_lasts_from_its_first_time_on() -> None:
    run = changed(
        entries=[
            entry(32.1, "fault_start", text="evicted", proc="payment-2"),
            entry(32.2, "handle_start", attempt=1, **START),
            entry(32.7, "handle_end", result="ok", **START),
            entry(60.0, "fault_start", text="evicted", proc="payment-2"),
        ]
    )

    assert "exclusion" not in check(run).found


def test_what_ran_before_any_fault_is_held_to_exclusion() -> None:
    run = changed(
        entries=[
            entry(32.2, "handle_start", attempt=1, **START),
            entry(32.7, "handle_end", result="ok", **START),
            entry(60.0, "fault_start", text="evicted", proc="payment-2"),
        ]
    )

    assert "exclusion" in check(run).found


def test_what_was_skipped_ended_when_it_was_skipped_first_not_with_its_copy() -> None:
    run = changed(
        entries=[
            entry(34.0, "skip", id="o3", handler="charge", text="late"),
            entry(50.0, "skip", id="o3", handler="charge", text="late"),
        ],
        effects=[effect for effect in clean().effects if effect.id != "o3"],
    )

    assert "commit" not in check(run).found


def test_a_group_goes_back_whoever_of_it_has_committed_k10() -> None:
    back = entry(40.0, "commit", tp="orders-0", offset=1, proc="payment-2")

    found = check(changed(entries=[back])).found["commit"]

    assert [one.text for one in found] == ["payment-2@1 committed orders-0 back to 1"]

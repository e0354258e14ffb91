"""What is judged by when it was: faults that last, and ends that are told twice."""

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

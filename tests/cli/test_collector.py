"""The collector of a process that handles events: what is loaded is left alone, the rest is not."""

import gc
import weakref
from collections.abc import Generator

import pytest

from choreo.cli.collector import OLDER, YOUNG, ease_collector
from tests.cli.program import Commands


class Loop:
    """Refers to itself, so that only the collector can take it away."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Generator[None]:
    """Leave this process's collector as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_was_loaded_before_is_not_looked_at_any_more() -> None:
    loaded = [Loop()]

    ease_collector()

    assert gc.is_tracked(loaded)
    assert not any(one is loaded for one in gc.get_objects())


def test_what_nobody_needs_any_more_is_not_kept_with_what_was_loaded() -> None:
    gc.disable()
    try:
        gone = weakref.ref(Loop())

        ease_collector()
    finally:
        gc.enable()

    assert gone() is None


def test_what_comes_later_and_refers_to_itself_is_taken_away_unasked() -> None:
    ease_collector()
    gone = weakref.ref(Loop())

    kept = [[number] for number in range(2 * YOUNG)]

    assert gone() is None
    assert len(kept) > YOUNG


def test_older_objects_are_looked_at_after_many_looks_at_the_young() -> None:
    ease_collector()

    assert gc.get_threshold() == (YOUNG, OLDER, OLDER)
    assert OLDER > 10, "Python's own"


def test_a_program_that_runs_services_has_its_collector_set(choreo: Commands) -> None:
    program = choreo.start("run", "tests.cli.shop:collected")
    program.until(lambda: choreo.notes, "a handler has told how the collector is set")

    young, frozen = map(int, choreo.notes[0].split())

    assert young == YOUNG
    assert frozen > 10_000, "all that Python and choreo have imported"

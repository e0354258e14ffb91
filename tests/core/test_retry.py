from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.errors import ConfigurationError, DecodeError, Reject, RetryLater
from choreo.retry import FOREVER, NO_RETRY, Retry

EXACT = Retry(attempts=4, initial=timedelta(seconds=1), maximum=timedelta(seconds=3), jitter=0)


def test_delays_grow_up_to_the_longest_and_then_it_gives_up() -> None:
    delays = [EXACT.delay_after(attempt, OSError(), Random(1)) for attempt in range(1, 5)]

    assert delays == [1.0, 2.0, 3.0, None]


@given(attempt=st.integers(1, 10_000), seed=st.integers())
def test_a_delay_is_never_longer_than_the_longest_and_its_jitter(attempt: int, seed: int) -> None:
    delay = FOREVER.delay_after(attempt, OSError(), Random(seed))

    assert delay is not None
    assert 0 <= delay <= FOREVER.maximum.total_seconds() * 1.1


@pytest.mark.parametrize("error", [Reject("no"), DecodeError("no")])
def test_what_will_never_succeed_is_not_tried_again(error: Exception) -> None:
    assert EXACT.delay_after(1, error, Random(1)) is None


def test_a_handler_may_say_when_to_try_again_within_its_attempts() -> None:
    later = RetryLater(timedelta(minutes=5))

    assert EXACT.delay_after(1, later, Random(1)) == 300.0
    assert EXACT.delay_after(4, later, Random(1)) is None


def test_the_most_derived_exception_class_decides() -> None:
    policy = Retry(
        attempts=2,
        per={OSError: Retry(attempts=5, jitter=0), ConnectionError: NO_RETRY},
        never=(KeyError,),
    )

    assert policy.delay_after(4, TimeoutError(), Random(1)) is not None
    assert policy.delay_after(1, ConnectionResetError(), Random(1)) is None
    assert policy.delay_after(1, KeyError(), Random(1)) is None
    assert policy.delay_after(2, ValueError(), Random(1)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"jitter": 1.5},
        {"multiplier": 0.5},
        {"initial": timedelta(seconds=-1)},
        {"initial": timedelta(hours=1)},
    ],
)
def test_an_impossible_policy_is_refused_when_it_is_written(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Retry(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"initial": 0.5}, r"initial=0\.5\): give a timedelta"),
        ({"maximum": 30}, r"maximum=30\): give a timedelta"),
        ({"attempts": "3"}, "give a whole number"),
        ({"never": OSError}, "give a tuple of exceptions"),
        ({"never": (OSError, "KeyError")}, "'KeyError' is no class of exceptions"),
        ({"per": {OSError(): NO_RETRY}}, "is no class of exceptions"),
        ({"per": {OSError: 3}}, r"per=\{OSError: 3\}\): give a Retry"),
    ],
)
def test_what_a_policy_cannot_be_made_of_is_refused_where_it_is_given(
    wrong: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Retry(**wrong)

"""What is remembered of finished events, and for how long."""

from datetime import timedelta

import pytest

from choreo.errors import ConfigurationError
from choreo.retention import retention

WEEK = timedelta(days=7)


def test_an_end_is_remembered_longer_than_the_broker_keeps_the_event_i7() -> None:
    assert retention(None, WEEK) == timedelta(days=8)


@pytest.mark.parametrize("horizon", [None, timedelta.max])
def test_what_may_come_again_for_ever_is_never_forgotten_i7(horizon: timedelta | None) -> None:
    assert retention(None, horizon) is None


@pytest.mark.parametrize("horizon", [WEEK, timedelta.max])
def test_a_shorter_memory_than_the_brokers_is_refused_i7(horizon: timedelta) -> None:
    with pytest.raises(ConfigurationError, match=r"inbox_retention=6 days"):
        retention(timedelta(days=6), horizon)


def test_who_is_refused_is_told_which_topic_is_kept_for_longer() -> None:
    with pytest.raises(ConfigurationError, match=r"for 7 days, .*, so long does it keep orders, "):
        retention(timedelta(days=6), WEEK, "orders")


@pytest.mark.parametrize("horizon", [None, WEEK, timedelta()])
def test_a_longer_one_is_the_users_to_choose(horizon: timedelta | None) -> None:
    assert retention(timedelta(days=30), horizon) == timedelta(days=30)

"""Durations: as options are written, in seconds or ISO 8601, and as events are delayed by."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field


def _seconds(value: object) -> object:
    """Let a bare number in a text mean seconds; other texts are ISO 8601 durations."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


LONGEST_DELAY = timedelta(days=365_000)
"""A thousand years: what is more is a slip, and no database could tell when it is over."""

Duration = Annotated[timedelta, BeforeValidator(_seconds), Field(gt=timedelta(0))]
"""A positive ``timedelta``; ``1.5`` and ``PT1.5S`` both are one and a half seconds."""


def checked_delay(delay: object) -> timedelta | None:
    """Return *delay*, or None as it is; raise TypeError or ValueError for what delays nothing."""
    if delay is None:
        return None
    if not isinstance(delay, timedelta):
        raise TypeError(f"delay={delay!r}: give a timedelta")
    if delay <= timedelta(0):
        raise ValueError(f"delay={delay!r}: give more than nothing, or no delay to publish at once")
    if delay > LONGEST_DELAY:
        raise ValueError(f"delay={delay!r}: at most {LONGEST_DELAY.days} days can be waited for")
    return delay

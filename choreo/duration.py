"""Durations as options are written: seconds, or ISO 8601."""

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


Duration = Annotated[timedelta, BeforeValidator(_seconds), Field(gt=timedelta(0))]
"""A positive ``timedelta``; ``1.5`` and ``PT1.5S`` both are one and a half seconds."""

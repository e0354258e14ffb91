"""Moments as text."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from choreo.timestamps import Stamps, parse_rfc3339, rfc3339

ZONES = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(1 / 3))]
)
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001


@given(st.lists(MOMENTS, min_size=1), st.integers(0, 999_999))
def test_a_moment_is_written_the_same_whichever_was_written_before(
    moments: list[datetime], microsecond: int
) -> None:
    stamps = Stamps()
    close = [*moments, moments[-1].replace(microsecond=microsecond)]

    texts = [stamps.text(moment) for moment in close]

    assert texts == [rfc3339(moment) for moment in close]
    assert [parse_rfc3339(text) for text in texts] == close

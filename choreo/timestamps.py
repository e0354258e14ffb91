"""Moments as text on the wire: RFC 3339, written in UTC to the microsecond."""

import re
from datetime import UTC, datetime

RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:)(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
LEAP_SECOND = "60"
DIGITS = tuple(f"{number:03d}" for number in range(1000))
LENGTH = len("2026-01-31T12:00:00.000000Z")


def rfc3339(moment: datetime) -> str:
    """Write an aware datetime, such as ``2026-01-31T12:00:00.000000Z``."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime names no moment")
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat("T", "microseconds")[: LENGTH - 1] + "Z"


class Stamps:
    """Writes moments as ``rfc3339`` does, most of which are of the second of the one before."""

    __slots__ = ("_begin", "_second")

    def __init__(self) -> None:
        self._second = datetime.min.replace(tzinfo=UTC)
        self._begin = ""

    def text(self, moment: datetime) -> str:
        """Write an aware datetime."""
        passed = moment - self._second
        if passed.seconds or passed.days:
            self._begin = rfc3339(moment)[: -len("000000Z")]
            self._second = moment.replace(microsecond=0)
            passed = moment - self._second
        micros = passed.microseconds
        return f"{self._begin}{DIGITS[micros // 1000]}{DIGITS[micros % 1000]}Z"


def parse_rfc3339(text: str) -> datetime:
    """Read an RFC 3339 timestamp (section 5.6); raise ValueError for anything else.

    Digits beyond microseconds are cut off, and a leap second is read as the last microsecond before
    it ends, because neither has a place in a datetime.
    """
    # What choreo writes has 27 characters with separators in these places; the rest of RFC 3339,
    # and all that fromisoformat takes beyond it (weeks, basic format), goes through the pattern.
    if len(text) == LENGTH and text[10] + text[19] + text[26] == "T.Z" and text[7] == "-":
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    match = RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 timestamp")
    start, second, fraction, zone = match.groups()
    if second == LEAP_SECOND:
        second, fraction = "59", ".999999"
    return datetime.fromisoformat(f"{start}{second}{(fraction or '')[:7]}{zone.upper()}")

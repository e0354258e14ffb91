"""W3C trace context and baggage from outside: read strictly, or dropped; never a reason to fail.

Sources: W3C Trace Context (Recommendation, 2021, and the level 2 draft), W3C Baggage.
"""

import re

MAX_TRACESTATE = 512
"""Characters; what must at least be propagated is all that we propagate (T2)."""
MAX_TRACESTATE_MEMBERS = 32
MAX_BAGGAGE = 8192
"""Bytes, as the recommendation's lower bound."""
MAX_BAGGAGE_MEMBERS = 64

_SHAPE = b"00-" + 32 * b"0" + b"-" + 16 * b"0" + b"-00"
_TO_SHAPE = bytes(0x30 if code in b"0123456789abcdef" else code for code in range(256))
_NO_TRACE = 32 * b"0"
_NO_SPAN = b"-" + 16 * b"0" + b"-"
_LATER_VERSION = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?")
_KEY = r"[a-z0-9][a-z0-9_\-*/]{0,255}(?:@[a-z][a-z0-9_\-*/]{0,13})?"
_MEMBER = re.compile(
    rf"({_KEY})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_ENTRY = re.compile(
    rf"{_WORD}[ \t]*=[ \t]*{_VALUE}(?:[ \t]*;[ \t]*{_WORD}(?:[ \t]*=[ \t]*{_VALUE})?)*"
)


def read_traceparent(value: bytes | None) -> str | None:
    """Read one ``traceparent``; None for whatever is not valid. A later version is read as 00."""
    if value is None:
        return None
    if value[:3] != b"00-":
        match = _LATER_VERSION.fullmatch(value)
        if match is None:
            return None
        value = b"00-" + bytes(match[1])
    # With every digit made a nought, what is left is the shape; as for the ids, that many noughts
    # in one piece fit in no other place.
    if value.translate(_TO_SHAPE) != _SHAPE or _NO_TRACE in value or _NO_SPAN in value:
        return None
    return value.decode("ascii")


def read_tracestate(values: list[bytes | None]) -> str | None:
    """Read ``tracestate``, joining repeated headers; None if any member is invalid or too many."""
    text = _joined(values, MAX_TRACESTATE)
    if text is None:
        return None
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    keys: set[str] = set()
    for member in members:
        match = _MEMBER.fullmatch(member)
        if match is None or match[1] in keys:
            return None
        keys.add(match[1])
    return ",".join(members) if 0 < len(members) <= MAX_TRACESTATE_MEMBERS else None


def read_baggage(values: list[bytes | None]) -> str | None:
    """Read ``baggage``, joining repeated headers; cut it to what must be propagated.

    None if a member within the cut is invalid.
    """
    text = _joined(values, None)
    if text is None:
        return None
    if len(text) > MAX_BAGGAGE:
        text = text[: MAX_BAGGAGE + 1].rpartition(",")[0]
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    members = members[:MAX_BAGGAGE_MEMBERS]
    if not members or not all(_ENTRY.fullmatch(member) for member in members):
        return None
    return ",".join(members)


def _joined(values: list[bytes | None], limit: int | None) -> str | None:
    present = [value for value in values if value]
    if limit is not None and sum(map(len, present)) > limit:
        return None
    try:
        return b",".join(value[: MAX_BAGGAGE + 1] for value in present).decode("ascii")
    except UnicodeDecodeError:
        return None

"""What a broker will not carry as it is, in a form that it does: headers, bodies, and nothing.

A dead letter holds the original's headers and body as they came wherever the broker takes them so.
Where it does not (control characters that came by a laxer broker, a letter too large, an empty body
that would delete a kept value), they are packed, and headers of ours say how they are restored.
Headers become JSON, ``[[name, base64 or null], …]``, which is deflated (RFC 1950) and written in
base64 over as many headers as it takes; a body is deflated as it is.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from enum import Enum

from pydantic import TypeAdapter, ValidationError

from choreo.broker import Capabilities
from choreo.errors import DecodeError
from choreo.message import Header, Message

EMPTY = "choreo-dlq-empty"
"""``true`` where the body stands for an empty one, ``absent`` where it stands for none at all."""
HEADERS = "choreo-dlq-headers"
BODY = "choreo-dlq-body"
DEFLATE = b"deflate"
STAND_IN = b"-"

MAX_VALUE = 48 * 1024
"""Bytes of one header's value; MQTT ends at 64 KiB."""
MAX_INFLATED = 64 * 1024 * 1024
"""Bytes that packed headers or a packed body may have: a letter may be anybody's (T5)."""


class Form(Enum):
    """How a letter holds its original, from what is best to read to what is taken most easily."""

    PLAIN = "plain"
    """Headers and body as they came."""
    HEADERS = "headers"
    """The headers packed, the body as it came."""
    WHOLE = "whole"
    """The headers packed, and the body deflated."""


def stand_in(
    body: bytes | None, capabilities: Capabilities
) -> tuple[bytes | None, Sequence[Header]]:
    """Tell a body that the broker keeps in place of *body*, and the header that says so.

    A kept value is deleted by an empty body, and not every transport has tombstones.
    """
    if body or (not capabilities.retained and (body is not None or capabilities.tombstones)):
        return body, ()
    return STAND_IN, ((EMPTY, b"absent" if body is None else b"true"),)


def pack_headers(headers: Iterable[Header]) -> Sequence[Header]:
    """Make of any headers some that every transport carries."""
    rows = [[name, None if value is None else b64encode(value).decode()] for name, value in headers]
    packed = b64encode(zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 9))
    starts = range(0, len(packed), MAX_VALUE)
    return [(HEADERS, packed[start : start + MAX_VALUE]) for start in starts]


def pack_body(body: bytes | None) -> tuple[bytes | None, Sequence[Header]]:
    """Deflate *body* where that makes it smaller, and tell the header that says so."""
    if body is None or len(body) > MAX_INFLATED:
        return body, ()
    packed = zlib.compress(body, 9)
    return (packed, ((BODY, DEFLATE),)) if len(packed) < len(body) else (body, ())


def unpack_headers(letter: Message) -> list[Header] | None:
    """Restore packed headers; None where none are packed. Raises DecodeError for spoilt ones."""
    parts = [value or b"" for name, value in letter.headers if name == HEADERS]
    if not parts:
        return None
    try:
        rows = _ROWS.validate_json(_inflate(b64decode(b"".join(parts), validate=True)))
        return [
            (name, None if value is None else b64decode(value, validate=True))
            for name, value in rows
        ]
    except (ValueError, ValidationError, zlib.error):
        pass
    raise DecodeError(f"the packed headers of a letter on {letter.topic!r} are spoilt")


def unpack_body(letter: Message) -> bytes | None:
    """Restore the body, in whatever form it is. Raises DecodeError for a spoilt one."""
    told = dict(letter.headers)
    body = letter.body
    if EMPTY in told and body == STAND_IN:
        return None if told[EMPTY] == b"absent" else b""
    if told.get(BODY) != DEFLATE or body is None:
        return body
    try:
        return _inflate(body)
    except (ValueError, zlib.error):
        pass
    raise DecodeError(f"the packed body of a letter on {letter.topic!r} is spoilt")


_ROWS = TypeAdapter(list[tuple[str, str | None]])


def _inflate(data: bytes) -> bytes:
    inflating = zlib.decompressobj()
    inflated = inflating.decompress(data, MAX_INFLATED)
    if not inflating.eof or inflating.unused_data:
        raise ValueError("it is cut short, goes on, or is larger than it may be")
    return inflated

"""CloudEvents attributes: which ones choreo knows, and what a name and a value may be.

Source: CloudEvents 1.0, sections "Attribute Naming Convention" and "Type System".
"""

import re
from dataclasses import dataclass
from functools import lru_cache

SPEC_VERSION = "1.0"
REQUIRED = ("id", "source", "specversion", "type")
TRACE = ("traceparent", "tracestate", "baggage")
"""Transport headers of W3C Trace Context and Baggage, which no CloudEvents prefix precedes."""
TIMESTAMPS = ("expirytime", "recordedtime", "time")
NON_EMPTY = frozenset(
    (
        *REQUIRED,
        *TIMESTAMPS,
        "causationid",
        "causationsource",
        "correlationid",
        "datacontenttype",
        "dataschema",
        "hopcount",
        "idempotencykey",
        "partitionkey",
        "sequence",
        "streamepoch",
        "streamid",
        "streamseq",
        "subject",
    )
)
"""Attributes that say something or are absent; an extension we do not know may be empty."""

CONTROLS = bytes(range(0x20)) + b"\x7f"
TO_VISIBLE = bytes(code ^ (code in CONTROLS or code > max(CONTROLS)) for code in range(256))
"""Leaves visible ASCII as it is, and nothing else: the quickest look for all that is not."""
_ILLEGAL = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
_NAME = re.compile(r"[a-z0-9]+", re.ASCII)
_INTEGER = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_URI_REFERENCE = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_MAX_INTEGER = 2**31 - 1
_SMALL = {str(number): number for number in range(65)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an envelope may say about itself, so that nobody else's headers exhaust us (T3)."""

    attributes: int = 64
    attribute_bytes: int = 16 * 1024
    """Names and values of all attributes together; trace context and baggage have their own cap."""


DEFAULT_LIMITS = Limits()


def legal_name(name: str) -> bool:
    """Say whether *name* may name an attribute."""
    return _NAME.fullmatch(name) is not None and name != "data"


def legal_text(text: str) -> bool:
    """Say whether *text* is free of the characters a CloudEvents String must not hold."""
    return _ILLEGAL.search(text) is None


def legible(text: str) -> str:
    """Put a blank in place of every character that a CloudEvents String must not hold."""
    return _ILLEGAL.sub(" ", text)


@lru_cache(maxsize=1024)
def legal_uri_reference(text: str) -> bool:
    """Say whether *text* is made of what RFC 3986 allows in a URI reference."""
    return _URI_REFERENCE.fullmatch(text) is not None


def parse_count(text: str) -> int | None:
    """Read a CloudEvents Integer that counts (0 to 2**31-1), or None if it is something else."""
    number = _SMALL.get(text)
    if number is None and _INTEGER.fullmatch(text):
        number = int(text)
    return number if number is not None and number <= _MAX_INTEGER else None

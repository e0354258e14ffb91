"""Naming what went wrong, the same for all that went wrong alike: no ids, no numbers, no values."""

import re
from collections.abc import Sequence
from hashlib import sha256

LENGTH = 8
"""Hexadecimal digits of a fingerprint, as they are shown and typed."""
LONGEST = 2_048
"""Characters of an error's text that are looked at: others' headers may hold anything."""
VARYING = re.compile(
    r"""
    (?<!\w)'[^']*'(?!\w) | (?<!\w)"[^"]*"(?!\w) | (?<!\w)`[^`]*`(?!\w)   # quoted values
    | \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b           # UUIDs
    | \b(?:0x)?(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b                       # addresses, digests
    | \d+                                                                # numbers
    """,
    re.VERBOSE,
)
RUNS = re.compile(r"\*(?:[-+.:,/ ]?\*)+")
"""What is left of dates, versions, addresses and lists of numbers."""
PYTHON_FRAME = re.compile(r'File "([^"]{0,512})", line \d+, in ([^\s|]{1,256})')
JAVA_FRAME = re.compile(r"\bat ([\w.$<>/@]{1,512})\(")


def normalised(text: str) -> str:
    """Put ``*`` in place of whatever differs from event to event."""
    starred = VARYING.sub("*", " ".join(text[:LONGEST].split()))
    return RUNS.sub("*", starred)


def frame(stack: str) -> str | None:
    """Tell file and function, or method, in which an error was raised; no line, which moves."""
    if python := PYTHON_FRAME.findall(stack):
        file, function = python[-1]
        return f"{file.replace(chr(92), '/').rpartition('/')[2]}:{function}"
    java = JAVA_FRAME.search(stack[:LONGEST])
    return java[1] if java else None


def fingerprint(
    error_type: str | None, error: str | None, stack: str | None, *about: str | None
) -> str:
    """Make one short name of an error and of what it is *about* (reason, handler, event, topic)."""
    parts: Sequence[str | None] = (
        *about,
        error_type,
        normalised(error or ""),
        frame(stack) if stack else None,
    )
    return sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:LENGTH]

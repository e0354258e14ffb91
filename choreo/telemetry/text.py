"""Text from outside made fit for logs and traces: without controls, without secrets, of a length.

Trap T4: whoever names a key or an id must not be able to write a line of the log. Trap T12:
passwords in URLs, assignments of secrets and the inputs that validation errors quote stay out.
"""

import re
from collections.abc import Iterator
from traceback import format_tb
from typing import cast

from pydantic import ValidationError

MAX_TEXT = 8_192
"""Characters of one value; what is longer is cut and says so."""
MAX_STACK = 32_768
MAX_CHAIN = 8
"""Errors of one chain of causes that are told."""
REDACTED = "[redacted]"

SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|api_?key|private_?key|credential|authorization|cookie|dsn",
    re.IGNORECASE,
)
# No repetition stands before a literal here: the cost stays linear whatever the text is.
_USERINFO = re.compile(r"://[^\s/@'\"]+@")
_ASSIGNED = re.compile(
    r"((?:passw(?:or)?d|passphrase|secret|token|api_?key|private_?key|credentials?)"
    r"['\"]?\s{0,3}[=:]\s{0,3})(?:'[^']{0,500}'|\"[^\"]{0,500}\"|[^\s,;&)}\]]+)"
    r"|\b((?:basic|bearer)\s)[\w.~+/=-]{16,}",
    re.IGNORECASE,
)


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Take the secrets out of *text* and cut it to *limit* characters."""
    if len(text) > 2 * limit:
        # Cut before the search, so that its cost is bounded; cut again after it.
        text = f"{text[: 2 * limit]}…"
    if "://" in text:
        text = _USERINFO.sub(f"://{REDACTED}@", text)
    text = _ASSIGNED.sub(lambda found: f"{found[1] or found[2]}{REDACTED}", text)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def printable(text: str, *, lines: bool = False) -> str:
    """Escape whatever Unicode does not call printable; with *lines*, line ends stay."""
    if lines:
        return "\n".join(printable(line) for line in text.split("\n"))
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def told(error: BaseException) -> str:
    """Say what *error* says, without the values that a validation error quotes."""
    try:
        if isinstance(error, ValidationError):
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            return clean(
                "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['type']}" for p in problems)
            )
        return clean(str(error))
    except Exception as second:  # noqa: BLE001 -- a user's __str__ must not break what reports it
        return f"(its text raised {type(second).__name__})"


def error_type(error: BaseException | type[BaseException]) -> str:
    """Name the error's class in full: ``error.type`` of the semantic conventions."""
    kind = error if isinstance(error, type) else type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def named(error: BaseException) -> str:
    """Say what *error* is and says: of many the text alone is empty, or as short as a key."""
    return f"{error_type(error)}: {told(error)}".removesuffix(": ")


def stack(error: BaseException) -> str:
    """Tell *error* with its causes, the first cause first, as Python does but without secrets."""
    parts = [
        f"{''.join(format_tb(link.__traceback__))}{error_type(link)}: {told(link)}"
        for link in reversed(list(_causes(error)))
    ]
    if isinstance(error, BaseExceptionGroup):
        members = cast("BaseExceptionGroup[BaseException]", error).exceptions[:MAX_CHAIN]
        parts += [f"{error_type(member)}: {told(member)}" for member in members]
    text = "\n\nled to\n\n".join(parts)
    return text if len(text) <= MAX_STACK else f"…{text[-MAX_STACK:]}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen and len(seen) < MAX_CHAIN:
        seen.add(id(error))
        yield error
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)

"""What a registry answers, judged before anything is made of it."""

from collections.abc import Sequence
from typing import NoReturn

from pydantic import JsonValue
from pydantic_core import from_json

from choreo.contracts.mode import Mode
from choreo.errors import IncompatibleSchema, NotRegistered, RegistryError, RegistryUnavailable

MAX_MESSAGE = 300
MAX_ID = 2**31 - 1
AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses after which the same call may succeed."""


def failure(where: str, status: int, body: bytes) -> RegistryError:
    """Name what a status other than 2xx says."""
    message = f"{where} answered {status}: {_message(body)}"
    if status in AGAIN:
        return RegistryUnavailable(message)
    if status == 404:  # noqa: PLR2004 -- HTTP's own
        return NotRegistered(message)
    if status == 409:  # noqa: PLR2004 -- HTTP's own
        return IncompatibleSchema(message)
    if status in (401, 403):
        return RegistryError(f"{message}: give user and password that may do this")
    return RegistryError(message)


def read(where: str, body: bytes) -> JsonValue:
    """Read a body; raise RegistryError for what is no JSON."""
    try:
        value: JsonValue = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RegistryError(f"{where} answered what is no JSON: is it a registry?") from error
    return value


def member(answer: JsonValue, name: str, where: str) -> JsonValue:
    """Find a member of an object."""
    return answer.get(name) if isinstance(answer, dict) else _odd(where, name)


def number(answer: JsonValue, name: str, where: str) -> int:
    """Find an id or a version."""
    value = member(answer, name, where)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_ID:
        _odd(where, name)
    return value


def text(answer: JsonValue, name: str, where: str) -> str:
    """Find a text."""
    value = member(answer, name, where)
    return value if isinstance(value, str) else _odd(where, name)


def schema(answer: JsonValue, where: str) -> JsonValue:
    """Find an Avro schema; raise NotRegistered for one of another kind, or that is none."""
    kind = member(answer, "schemaType", where) or "AVRO"
    if kind != "AVRO":
        raise NotRegistered(f"{where} is of the type {str(kind)[:40]!r}, not AVRO")
    try:
        value: JsonValue = from_json(text(answer, "schema", where), allow_inf_nan=False)
    except ValueError as error:
        raise NotRegistered(f"{where} is no Avro schema: it is no JSON") from error
    return value


def references(answer: JsonValue, where: str) -> Sequence[tuple[str, str, int]]:
    """Find what a schema refers to: names, subjects and versions."""
    listed = member(answer, "references", where) or []
    if not isinstance(listed, list):
        _odd(where, "references")
    return [
        (text(one, "name", where), text(one, "subject", where), number(one, "version", where))
        for one in listed
    ]


def names(answer: JsonValue, where: str) -> list[str]:
    """Read a list of names."""
    listed = answer if isinstance(answer, list) else _odd(where, "a list")
    found = [one for one in listed if isinstance(one, str)]
    return found if len(found) == len(listed) else _odd(where, "a list of names")


def numbers(answer: JsonValue, where: str) -> list[int]:
    """Read a list of versions."""
    listed = answer if isinstance(answer, list) else _odd(where, "a list")
    found = [one for one in listed if isinstance(one, int) and not isinstance(one, bool)]
    return sorted(found) if len(found) == len(listed) else _odd(where, "a list of numbers")


def mode(answer: JsonValue, where: str) -> Mode:
    """Find a compatibility."""
    level = text(answer, "compatibilityLevel", where).lower()
    return Mode(level) if level in set(Mode) else _odd(where, "compatibilityLevel")


def _odd(where: str, what: str) -> NoReturn:
    raise RegistryError(f"{where} answered without {what}, or with another kind of it")


def _message(body: bytes) -> str:
    try:
        said: JsonValue = from_json(body)
    except ValueError:
        return "without a reason"
    told = said.get("message") if isinstance(said, dict) else None
    # What a registry says may hold anything: no more of it than a line, and nothing that moves one.
    return told[:MAX_MESSAGE].encode("unicode_escape").decode() if isinstance(told, str) else "…"

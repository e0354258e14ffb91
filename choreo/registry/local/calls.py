"""The calls of a registry's REST API, told by method and path, and answered from a shelf.

Source: Confluent's Schema Registry API reference, whose paths, bodies and error codes others serve.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue
from pydantic_core import from_json

from choreo.contracts.mode import Mode
from choreo.registry.local.refusal import (
    Refusal,
    invalid_level,
    invalid_schema,
    invalid_version,
    no_schema,
)
from choreo.registry.local.shelf import EVERY, Draft, Entry, Reference, Shelf

Body = Mapping[str, JsonValue]
Answer = Callable[[Shelf, tuple[str, ...], Body], JsonValue]
MAX_ID = 2**31 - 1
MAX_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request."""

    method: str
    path: re.Pattern[str]
    answer: Answer


def answer(shelf: Shelf, method: str, parts: tuple[str, ...], body: bytes) -> JsonValue:
    """Answer one request, given the parts of its path; raise Refusal."""
    path = "/".join(part.replace("/", "%2F") for part in parts)
    allowed = [call for call in CALLS if call.path.fullmatch(path)]
    for call in allowed:
        if call.method == method:
            given = call.path.fullmatch(path)
            assert given is not None  # noqa: S101 -- it matched
            values = tuple(one.replace("%2F", "/") for one in given.groups())
            return call.answer(shelf, values, _object(body))
    if allowed:
        raise Refusal(405, 405, "HTTP 405 Method Not Allowed")
    raise Refusal(404, 404, "HTTP 404 Not Found")


def _object(body: bytes) -> Body:
    if not body:
        return {}
    try:
        read: JsonValue = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refusal(400, 400, "the body is no JSON") from error
    if not isinstance(read, dict):
        raise Refusal(400, 400, "the body is no JSON object")
    return read


def _draft(body: Body) -> Draft:
    text, kind = body.get("schema"), body.get("schemaType", "AVRO")
    if kind not in ("AVRO", None):
        raise invalid_schema(f"schemaType {kind!r} is not kept here, only AVRO")
    if not isinstance(text, str):
        raise invalid_schema("the member 'schema' is no string")
    listed = body.get("references") or []
    if not isinstance(listed, list):
        raise invalid_schema("the member 'references' is no list")
    return Draft(text, tuple(map(_reference, listed)))


def _reference(given: JsonValue) -> Reference:
    if isinstance(given, dict):
        name, subject, version = given.get("name"), given.get("subject"), given.get("version")
        if isinstance(name, str) and isinstance(subject, str) and isinstance(version, int):
            return Reference(name, subject, version)
    raise invalid_schema("a reference lacks its name, subject or version")


def _version(text: str) -> int | None:
    if text in ("latest", "-1"):
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS and int(text) > 0):
        raise invalid_version(text)
    return int(text)


def _references(references: tuple[Reference, ...]) -> dict[str, JsonValue]:
    if not references:
        return {}
    listed = [
        {"name": one.name, "subject": one.subject, "version": one.version} for one in references
    ]
    return {"references": cast("JsonValue", listed)}


def _whole(entry: Entry) -> dict[str, JsonValue]:
    return {
        "subject": entry.subject,
        "version": entry.version,
        "id": entry.id,
        "guid": entry.guid,
        "schemaType": "AVRO",
        "schema": entry.text,
        **_references(entry.references),
    }


def _schema(draft: Draft) -> dict[str, JsonValue]:
    return {"schema": draft.text, "schemaType": "AVRO", **_references(draft.references)}


def _register(shelf: Shelf, at: tuple[str, ...], body: Body) -> JsonValue:
    entry = shelf.register(at[0], _draft(body))
    return {"id": entry.id, "version": entry.version, "guid": entry.guid}


def _find(shelf: Shelf, at: tuple[str, ...], body: Body) -> JsonValue:
    return _whole(shelf.find(at[0], _draft(body)))


def _by_id(shelf: Shelf, at: tuple[str, ...], _: Body) -> JsonValue:
    text = at[0]
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise no_schema()
    return _schema(shelf.by_id(int(text)))


def _by_guid(shelf: Shelf, at: tuple[str, ...], _: Body) -> JsonValue:
    identity, draft = shelf.by_guid(at[0].lower())
    return {"id": identity, "guid": at[0].lower(), **_schema(draft)}


def _by_version(shelf: Shelf, at: tuple[str, ...], _: Body) -> JsonValue:
    return _whole(shelf.by_version(at[0], _version(at[1])))


def _compatible(shelf: Shelf, at: tuple[str, ...], body: Body) -> JsonValue:
    every = len(at) == 1
    version = None if every else _version(at[1])
    problems = shelf.problems(at[0], _draft(body), version, every=every)
    return {"is_compatible": not problems, "messages": cast("JsonValue", problems)}


def _level(shelf: Shelf, at: tuple[str, ...], _: Body) -> JsonValue:
    return {"compatibilityLevel": shelf.level(at[0] if at else EVERY).upper()}


def _set_level(shelf: Shelf, at: tuple[str, ...], body: Body) -> JsonValue:
    asked = body.get("compatibility")
    if not isinstance(asked, str) or asked.lower() not in set(Mode):
        raise invalid_level(asked)
    shelf.set_level(at[0] if at else EVERY, Mode(asked.lower()))
    return {"compatibility": asked.upper()}


def _subjects(shelf: Shelf, _: tuple[str, ...], __: Body) -> JsonValue:
    return cast("JsonValue", shelf.subjects())


def _versions(shelf: Shelf, at: tuple[str, ...], _: Body) -> JsonValue:
    return cast("JsonValue", shelf.versions(at[0]))


def _read_write(_: Shelf, __: tuple[str, ...], ___: Body) -> JsonValue:
    return {"mode": "READWRITE"}


def _types(_: Shelf, __: tuple[str, ...], ___: Body) -> JsonValue:
    return ["AVRO"]


def _root(_: Shelf, __: tuple[str, ...], ___: Body) -> JsonValue:
    return {}


_PATHS: tuple[tuple[str, str, Answer], ...] = (
    ("GET", "", _root),
    ("GET", "subjects", _subjects),
    ("POST", "subjects/([^/]+)", _find),
    ("GET", "subjects/([^/]+)/versions", _versions),
    ("POST", "subjects/([^/]+)/versions", _register),
    ("GET", "subjects/([^/]+)/versions/([^/]+)", _by_version),
    ("GET", "schemas/ids/([^/]+)", _by_id),
    ("GET", "schemas/guids/([^/]+)", _by_guid),
    ("GET", "schemas/types", _types),
    ("POST", "compatibility/subjects/([^/]+)/versions/([^/]+)", _compatible),
    ("POST", "compatibility/subjects/([^/]+)/versions", _compatible),
    ("GET", "config", _level),
    ("GET", "config/([^/]+)", _level),
    ("PUT", "config", _set_level),
    ("PUT", "config/([^/]+)", _set_level),
    ("GET", "mode", _read_write),
    ("GET", "mode/([^/]+)", _read_write),
)
CALLS = [Call(method, re.compile(path), given) for method, path, given in _PATHS]

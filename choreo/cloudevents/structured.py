"""The JSON format of CloudEvents: the whole event in one document, its data byte for byte.

Source: CloudEvents 1.0, JSON Event Format, sections 2 and 3.
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from json.decoder import JSONDecoder
from typing import NoReturn

from choreo.cloudevents.attributes import REQUIRED, SPEC_VERSION, Limits, legal_name
from choreo.cloudevents.layout import Layout
from choreo.cloudevents.spelling import attributes_of
from choreo.envelope import Envelope
from choreo.errors import EncodeError, MalformedEnvelope, UnsupportedSpecVersion

STRUCTURED = "application/cloudevents"
STRUCTURED_JSON = "application/cloudevents+json"

_SPACE = " \t\n\r"
_PREFIX = STRUCTURED.encode()
_INTEGERS = range(-(2**31), 2**31)


def is_cloudevents(content_type: bytes) -> bool:
    """Say whether this content type announces structured (or batched) mode."""
    return content_type[: len(_PREFIX)].lower() == _PREFIX


def is_json(content_type: str) -> bool:
    """Say whether data of this type is a JSON value: subtype ``json`` or suffix ``+json``."""
    subtype = content_type.partition(";")[0].strip().lower().partition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


def read_structured(body: bytes | None, content_type: bytes, limits: Limits) -> Envelope:
    """Read an event in JSON format; raise MalformedEnvelope or UnsupportedSpecVersion."""
    _check_format(content_type)
    if not body:
        raise MalformedEnvelope("a structured event without a body")
    try:
        document = body.decode()
    except UnicodeDecodeError:
        raise MalformedEnvelope("a structured event that is no UTF-8") from None
    members = _members(document)
    data, data_base64 = members.pop("data", None), members.pop("data_base64", None)
    attributes = _attributes(members, limits)
    layout = Layout(list(attributes))
    texts = list(attributes.values())
    layout.check(texts)
    envelope = layout.envelope(texts, None)
    envelope.data = _data(data, data_base64, envelope.content_type)
    return envelope


def to_structured_json(envelope: Envelope) -> bytes:
    """Write the whole event as one JSON document (``application/cloudevents+json``).

    JSON data goes in as it is, byte for byte; all other data as base64. Transport trace context is
    no part of an event and stays out. Raises EncodeError for JSON data that is no JSON.
    """
    members = [f'"specversion":"{SPEC_VERSION}"']
    members += [f'"{name}":{json.dumps(text)}' for name, text in attributes_of(envelope)]
    if envelope.data is not None and is_json(envelope.content_type):
        members.append(f'"data":{_json_text(envelope.data)}')
    elif envelope.data is not None:
        members.append(f'"data_base64":"{b64encode(envelope.data).decode("ascii")}"')
    return f"{{{','.join(members)}}}".encode()


def _check_format(content_type: bytes) -> None:
    rest = content_type[len(_PREFIX) :].lower()
    media, _, parameters = rest.partition(b";")
    if media.strip() != b"+json":
        raise MalformedEnvelope("a structured event in another format than JSON, or a batch")
    charset = parameters.replace(b'"', b"").partition(b"charset=")[2].partition(b";")[0].strip()
    if charset not in (b"", b"utf-8", b"utf8", b"us-ascii"):
        raise MalformedEnvelope("a structured event in another charset than UTF-8")


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and infinities are no JSON")


_DECODER = JSONDecoder(parse_constant=_refuse_constant)


def _members(document: str) -> dict[str, str]:
    """Cut the document's one object into its members' names and their values as JSON text.

    Cutting, not parsing, keeps numbers in the data exactly as they were written, and shows members
    that are repeated.
    """
    members: dict[str, str] = {}
    at = _skip(document, 0, "{")
    end = document[at : at + 1] == "}"
    while not end:
        name, after = _value(document, at)
        if not isinstance(name, str):
            raise MalformedEnvelope("a structured event that is no JSON object")
        start = _skip(document, after, ":")
        _, after = _value(document, start)
        if name in members:
            raise MalformedEnvelope(f"the envelope repeats the member {name[:40]!a}")
        members[name] = document[start:after]
        at = _skip(document, after, "")
        end = document[at : at + 1] == "}"
        if not end:
            at = _skip(document, at, ",")
    if _skip(document, at + 1, "") != len(document):
        raise MalformedEnvelope("a structured event with something behind its JSON object")
    return members


def _value(document: str, at: int) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(document, at)
    except (ValueError, RecursionError):
        raise MalformedEnvelope("a structured event that is no JSON, or nested too deep") from None


def _skip(document: str, at: int, mark: str) -> int:
    """Pass over white space, then *mark*, then white space."""
    while document[at : at + 1] and document[at] in _SPACE:
        at += 1
    if not mark:
        return at
    if document[at : at + 1] != mark:
        raise MalformedEnvelope("a structured event that is no JSON object")
    return _skip(document, at + 1, "")


def _attributes(members: Mapping[str, str], limits: Limits) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, text in members.items():
        if not legal_name(name):
            raise MalformedEnvelope(f"has an attribute with the illegal name {name[:40]!a}")
        if text != "null":
            attributes[name] = _text(name, text)
    specversion = attributes.pop("specversion", None)
    if specversion not in (None, SPEC_VERSION):
        raise UnsupportedSpecVersion(
            "CloudEvents specversion of another form: only 1.0 can be read"
        )
    if specversion is None:
        raise MalformedEnvelope("the envelope lacks the required 'specversion'")
    lacking = [name for name in REQUIRED if name not in attributes and name != "specversion"]
    if lacking:
        raise MalformedEnvelope("the envelope lacks the required " + ", ".join(map(repr, lacking)))
    if len(attributes) > limits.attributes:
        raise MalformedEnvelope(f"the envelope has more than {limits.attributes} attributes")
    if sum(
        len(name) + len(text.encode("utf-8", "replace")) for name, text in attributes.items()
    ) > (limits.attribute_bytes):
        raise MalformedEnvelope(f"the attributes hold more than {limits.attribute_bytes} bytes")
    return attributes


def _text(name: str, text: str) -> str:
    """Tell an attribute's canonical string; only strings, Booleans and Integers are attributes."""
    value: object = json.loads(text)
    if isinstance(value, str):
        return value
    if name not in REQUIRED:
        if isinstance(value, bool):
            return text
        if isinstance(value, int) and value in _INTEGERS:
            return str(value)
    raise MalformedEnvelope(f"attribute '{name}' is of a type that no attribute may have")


def _data(data: str | None, data_base64: str | None, content_type: str) -> bytes | None:
    if data is not None and data_base64 is not None:
        raise MalformedEnvelope("the envelope holds both data and data_base64")
    if data_base64 is not None:
        return _decoded(json.loads(data_base64))
    if data is None:
        return None
    if is_json(content_type):
        return data.encode()
    value: object = json.loads(data)
    if not isinstance(value, str):
        raise MalformedEnvelope("data is neither a string nor of a JSON type")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise MalformedEnvelope("data holds a lone surrogate") from None


def _decoded(value: object) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedEnvelope("data_base64 is no string")
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedEnvelope("data_base64 is no base64") from None


def _json_text(data: bytes) -> str:
    try:
        text = data.decode()
        at = _skip(text, 0, "")
        _, end = _DECODER.raw_decode(text, at)
        if _skip(text, end, "") != len(text):
            raise EncodeError("the data is more than one JSON value")
    except (ValueError, RecursionError):
        raise EncodeError("the data is no JSON, whatever its content type says") from None
    return text

"""One message as a command shows it: attributes and decoded body, safe to print (T4)."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn, cast

from choreo.broker import Capabilities
from choreo.cloudevents import EnvelopeReader
from choreo.codec.choice import media_type
from choreo.envelope import Envelope
from choreo.errors import DecodeError
from choreo.message import Delivery
from choreo.timestamps import rfc3339

ATTRIBUTES = {
    "id": "id",
    "source": "source",
    "type": "type",
    "time": "time",
    "subject": "subject",
    "partitionkey": "key",
    "datacontenttype": "content_type",
    "dataschema": "dataschema",
    "correlationid": "correlation_id",
    "causationid": "causation_id",
    "causationsource": "causation_source",
    "sequence": "sequence",
    "streamid": "stream_id",
    "idempotencykey": "idempotency_key",
    "traceparent": "traceparent",
}
"""Attributes of the envelope as CloudEvents spells them, and as Envelope does."""


@dataclass(frozen=True, slots=True)
class Record:
    """One message, and its envelope if it has one that can be read."""

    delivery: Delivery
    envelope: Envelope | None
    problem: str | None
    """Why there is no envelope."""

    def matches(self, kind: str | None, correlation: str | None) -> bool:
        """Tell whether it is of *kind*, with or without version, and of that conversation."""
        envelope = self.envelope
        if envelope is None:
            return kind is None and correlation is None
        types = {envelope.type, envelope.type.rpartition(".v")[0]}
        return (kind is None or kind in types) and (
            correlation is None or correlation == envelope.conversation
        )


class Recorder:
    """Reads deliveries of one broker as records."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._reader = EnvelopeReader(capabilities.binding)

    def read(self, delivery: Delivery) -> Record:
        """Read *delivery*; whatever is wrong with its envelope becomes a part of the record."""
        try:
            envelope = self._reader.read(delivery)
        except DecodeError as error:
            return Record(delivery, None, str(error))
        return Record(delivery, envelope, None if envelope else "no CloudEvent")


def as_json(record: Record) -> dict[str, object]:
    """Return the object that ``--json`` prints for one message."""
    delivery = record.delivery
    envelope = record.envelope
    body = delivery.body if envelope is None else envelope.data
    content_type = None if envelope is None else envelope.content_type
    encoding, data = decoded(body, content_type)
    return {
        "topic": delivery.topic,
        "stream": delivery.stream,
        "position": delivery.position,
        "timestamp": moment(delivery.timestamp),
        "key": None if delivery.key is None else shown(delivery.key),
        "retained": delivery.retain,
        "envelope": None if envelope is None else attributes(envelope),
        "problem": record.problem,
        "headers": [[name, None if v is None else shown(v)] for name, v in delivery.headers],
        "data_encoding": encoding,
        "data": data,
    }


def attributes(envelope: Envelope) -> dict[str, object]:
    """Return the attributes that the envelope has, and its extensions, by their wire names."""
    values = {
        name: value
        for name, field in ATTRIBUTES.items()
        if (value := cast("object", getattr(envelope, field))) is not None
    }
    if envelope.hops:
        values["hopcount"] = envelope.hops
    return {**envelope.extensions, **values}


def decoded(body: bytes | None, content_type: str | None) -> tuple[str, object]:
    """Tell the encoding (``none``, ``json``, ``text`` or ``base64``) and the value shown in it.

    Without a content type, as on foreign records, JSON is tried.
    """
    if body is None:
        return "none", None
    media = None if content_type is None else media_type(content_type)
    if media is None or media == "application/json" or media.endswith("+json"):
        try:
            data: object = json.loads(body, parse_constant=_no_constant)
            # What was read may still be too deep or too large a number to be written again.
            json.dumps([[[[data]]]], allow_nan=False)
            return "json", data
        except (ValueError, RecursionError):
            pass
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(body).decode()
    if all(each.isprintable() or each in "\t\r\n" for each in text):
        return "text", text
    return "base64", base64.b64encode(body).decode()


def lines(record: Record) -> list[str]:
    """Describe one message for people: a line of attributes, a line of body."""
    delivery, envelope = record.delivery, record.envelope
    where = f"{delivery.stream or delivery.topic}@{delivery.position}"
    if envelope is None:
        head = f"{moment(delivery.timestamp) or ''} {where}  {record.problem}"
    else:
        names = {
            "key": envelope.key,
            "id": envelope.id,
            "source": envelope.source,
            "correlation": envelope.correlation_id,
            "causation": envelope.causation_id,
        }
        tail = "  ".join(f"{name}={value}" for name, value in names.items() if value is not None)
        time = envelope.time or moment(delivery.timestamp) or ""
        head = f"{time} {where}  {envelope.type}  {tail}"
    if delivery.retain:
        head += "  retained"
    body = delivery.body if envelope is None else envelope.data
    return [head.strip(), f"    {one_line(body, envelope.content_type if envelope else None)}"]


def one_line(body: bytes | None, content_type: str | None) -> str:
    """Show a body on one line."""
    encoding, data = decoded(body, content_type)
    if encoding == "none":
        return "(no data)"
    if encoding == "json":
        return json.dumps(data, ensure_ascii=False)
    return str(data) if encoding == "text" else f"base64 {data}"


def shown(raw: bytes) -> str:
    """Show a key or a header's value: as text, with what is no UTF-8 escaped."""
    return raw.decode("utf-8", "backslashreplace")


def moment(seconds: float | None) -> str | None:
    """Show a broker's record time; None for none, or one that no calendar has."""
    if seconds is None:
        return None
    try:
        return rfc3339(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")

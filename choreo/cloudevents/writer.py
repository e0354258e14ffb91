"""Writing envelopes in binary mode: one header per attribute, the payload as it is."""

from collections.abc import Sequence
from dataclasses import replace

from choreo.broker import Binding
from choreo.cloudevents.attributes import (
    CONTROLS,
    DEFAULT_LIMITS,
    NON_EMPTY,
    SPEC_VERSION,
    TRACE,
    Limits,
    legal_name,
    legal_text,
    legal_uri_reference,
    parse_count,
)
from choreo.cloudevents.headers import CONTENT_TYPE
from choreo.cloudevents.plain_writer import PlainWriter
from choreo.cloudevents.spelling import OWN, own_values
from choreo.cloudevents.stencil import Stencil
from choreo.cloudevents.structured import is_cloudevents
from choreo.envelope import JSON, Envelope
from choreo.errors import EncodeError
from choreo.message import Header, Message
from choreo.timestamps import parse_rfc3339


class EnvelopeWriter:
    """Writes envelopes as messages for one kind of transport; what it writes, a reader reads."""

    def __init__(self, binding: Binding, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._prefix = binding.value
        self._limits = limits
        self._native_key = binding is not Binding.MQTT
        self._plain = PlainWriter(binding, limits)
        self._specversion: Header = (f"{self._prefix}specversion", SPEC_VERSION.encode())
        self._names = tuple(
            CONTENT_TYPE if name == "datacontenttype" else f"{self._prefix}{name}" for name in OWN
        )
        names = sum(map(len, (self._specversion[0], *self._names)))
        self._safe_bytes = limits.attribute_bytes - names
        """So many bytes of values are within the limit with all names of our own."""

    def write(self, envelope: Envelope, topic: str, key: bytes | None = None, /) -> Message:
        """Build the message that carries *envelope* to *topic*.

        *key* is the record's key; the partition key serves where it is None, and neither where the
        transport has no keys. Raises EncodeError, naming the attribute, for an envelope that no
        reader would accept.
        """
        headers = self._plain.headers(envelope)
        if headers is None:
            headers = self._headers(envelope)
            self._plain.learn(envelope)
        if envelope.traceparent is not None:
            headers.append(("traceparent", envelope.traceparent.encode()))
            if envelope.tracestate is not None:
                headers.append(("tracestate", envelope.tracestate.encode()))
        if envelope.baggage is not None:
            headers.append(("baggage", envelope.baggage.encode()))
        if not self._native_key:
            key = None
        elif key is None and envelope.key is not None:
            key = envelope.key.encode()
        return Message(topic, envelope.data, key, headers)

    def stencil(self, source: str, kind: str, media: str, /) -> Stencil | None:
        """Compose what writes messages of one kind; None while no such message was ever written."""
        return self._plain.stencil(source, kind, media)

    def _headers(self, envelope: Envelope) -> list[Header]:
        """Write the attributes of what is not plain, and find out what is wrong with it."""
        headers: list[Header] = [self._specversion]
        try:
            headers += [
                (name, text.encode())
                for name, text in zip(self._names, own_values(envelope), strict=True)
                if text is not None
            ]
            if envelope.extensions:
                headers += self._extensions(envelope)
        except UnicodeEncodeError:
            raise EncodeError("an attribute of the envelope holds a lone surrogate") from None
        self._check(headers, envelope)
        return headers

    def stamp(self, message: Message, number: int, epoch: int, /) -> Message:
        """Write into *message* its number in its stream, and which count of its source that is."""
        prefix = self._prefix
        headers = [
            *message.headers,
            (f"{prefix}streamseq", f"{number:020d}".encode()),
            (f"{prefix}streamepoch", str(epoch).encode()),
        ]
        return replace(message, headers=headers)

    def _extensions(self, envelope: Envelope) -> Sequence[Header]:
        taken = {name for name, text in zip(OWN, own_values(envelope), strict=True) if text}
        headers: list[Header] = []
        for name, text in envelope.extensions.items():
            if not legal_name(name) or name in taken or name in ("specversion", "datacontenttype"):
                raise EncodeError(f"{name[:40]!a} cannot name an extension of the envelope")
            # Without a prefix the origin's trace context would be taken for the transport's.
            if self._prefix or name not in TRACE:
                headers.append((f"{self._prefix}{name}", text.encode()))
        return headers

    def _check(self, headers: Sequence[Header], envelope: Envelope) -> None:
        """Look at all values together, and at each only where something looks odd."""
        values = [value for _, value in headers if value is not None]
        raw = b"\0".join(values)
        if (
            not raw.isascii()
            or len(raw) - len(raw.translate(None, CONTROLS)) != len(values) - 1
            or b"\0\0" in raw
            or not values[-1]
        ):
            self._check_each(headers)
        size = len(raw)
        if envelope.extensions or size > self._safe_bytes:
            size += sum([len(name) for name, _ in headers])
        if len(headers) - 1 > self._limits.attributes or size > self._limits.attribute_bytes:
            raise EncodeError(self._excess(headers, size))
        if not legal_uri_reference(envelope.source):
            raise EncodeError("attribute 'source' is no URI reference")
        if envelope.hops and parse_count(str(envelope.hops)) is None:
            raise EncodeError("attribute 'hopcount' is no Integer from 0 to 2147483647")
        if envelope.content_type != JSON and is_cloudevents(envelope.content_type.encode()):
            raise EncodeError("attribute 'datacontenttype' announces structured mode")
        if envelope.time is not None:
            _check_time("time", envelope.time)
        for name in ("expirytime", "recordedtime"):
            if name in envelope.extensions:
                _check_time(name, envelope.extensions[name])

    def _excess(self, headers: Sequence[Header], size: int) -> str:
        limits = self._limits
        if size <= limits.attribute_bytes:
            return f"{len(headers) - 1} attributes are more than {limits.attributes}"
        longest, value = max(headers, key=lambda header: len(header[1] or b""))
        return (
            f"the attributes hold {size} bytes, more than {limits.attribute_bytes}; the longest is "
            f"{longest.removeprefix(self._prefix)!r} with {len(value or b'')}"
        )

    def _check_each(self, headers: Sequence[Header]) -> None:
        for name, value in headers:
            attribute = name.removeprefix(self._prefix)
            if not value and (attribute in NON_EMPTY or name == CONTENT_TYPE):
                raise EncodeError(f"attribute '{attribute}' is empty")
            if value and not legal_text(value.decode()):
                raise EncodeError(f"attribute '{attribute}' holds a control or non-character")


def _check_time(name: str, text: str) -> None:
    try:
        parse_rfc3339(text)
    except ValueError:
        raise EncodeError(f"attribute '{name}' is no RFC 3339 timestamp") from None

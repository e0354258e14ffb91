"""What the attribute names of an envelope decide, decided once: names repeat, values vary."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from choreo.cloudevents.attributes import (
    NON_EMPTY,
    TIMESTAMPS,
    legal_text,
    legal_uri_reference,
    parse_count,
)
from choreo.envelope import EMPTY, JSON, Envelope
from choreo.errors import MalformedEnvelope
from choreo.timestamps import parse_rfc3339

FIELDS = (
    "id",
    "source",
    "type",
    "datacontenttype",
    "time",
    "subject",
    "partitionkey",
    "dataschema",
    "correlationid",
    "causationid",
    "causationsource",
    "hopcount",
    "sequence",
    "streamid",
    "idempotencykey",
)
"""Attributes with a field of their own in Envelope, in the order in which a layout picks them."""


class Trace(NamedTuple):
    """Trace context and baggage of the transport, already judged."""

    traceparent: str | None = None
    tracestate: str | None = None
    baggage: str | None = None


NO_TRACE = Trace()


class Layout:
    """The attribute names of one kind of envelope, in order, and where each value belongs."""

    __slots__ = ("_extensions", "_pick", "_times", "names")

    def __init__(self, names: Sequence[str]) -> None:
        """Lay out *names*: legal, distinct, all that are required but ``specversion``."""
        self.names = tuple(names)
        place = {name: position for position, name in enumerate(names)}
        homes: dict[str, str] = dict(zip(FIELDS, FIELDS, strict=True))
        # The extension "sequence" counts within the source. A number within a smaller stream comes
        # as "streamseq" with its "streamid"; where all three are present the smaller one counts.
        if "streamid" in place and "streamseq" in place:
            homes["sequence"] = "streamseq"
        else:
            del homes["streamid"]
        absent = len(names)
        taken = set(homes.values())
        self._pick = itemgetter(*(place.get(homes.get(field, ""), absent) for field in FIELDS))
        self._extensions = [(name, place[name]) for name in names if name not in taken]
        self._times = [
            (name, place[name]) for name in TIMESTAMPS if name in place and name not in FIELDS
        ]

    def check(self, texts: Sequence[str]) -> None:
        """Raise MalformedEnvelope for a value that no attribute, or not this one, may have."""
        for name, text in zip(self.names, texts, strict=True):
            if not text and name in NON_EMPTY:
                raise MalformedEnvelope(f"attribute '{name}' is empty")
            if not legal_text(text):
                raise MalformedEnvelope(f"attribute '{name}' holds a control or non-character")

    def envelope(
        self, texts: Iterable[str], data: bytes | None, trace: Trace = NO_TRACE
    ) -> Envelope:
        """Build the envelope from checked values, in the order of the names."""
        values: list[Any] = [*texts, None]
        (
            identity, source, kind, content_type, time, subject, key, dataschema, correlation_id,
            causation_id, causation_source, hopcount, sequence, stream_id, idempotency_key,
        ) = self._pick(values)  # fmt: skip
        hops = 0 if hopcount is None else parse_count(hopcount)
        if hops is None:
            raise MalformedEnvelope("attribute 'hopcount' is no Integer from 0 to 2147483647")
        if not legal_uri_reference(source):
            raise MalformedEnvelope("attribute 'source' is no URI reference")
        if time is not None:
            _check_time("time", time)
        for name, position in self._times:
            _check_time(name, values[position])
        return Envelope(
            id=identity,
            source=source,
            type=kind,
            data=data,
            content_type=content_type or JSON,
            time=time,
            subject=subject,
            key=key,
            dataschema=dataschema,
            correlation_id=correlation_id,
            causation_id=causation_id,
            causation_source=causation_source,
            hops=hops,
            sequence=sequence,
            stream_id=stream_id,
            idempotency_key=idempotency_key,
            traceparent=trace[0],
            tracestate=trace[1],
            baggage=trace[2],
            extensions={name: values[position] for name, position in self._extensions}
            if self._extensions
            else EMPTY,
        )


def _check_time(name: str, text: str) -> None:
    try:
        parse_rfc3339(text)
    except ValueError:
        raise MalformedEnvelope(f"attribute '{name}' is no RFC 3339 timestamp") from None

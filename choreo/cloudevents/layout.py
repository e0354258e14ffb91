"""What the attribute names of an envelope decide, decided once: names repeat, values vary."""

from collections.abc import Sequence
from dataclasses import fields
from operator import itemgetter
from typing import Any

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

Trace = tuple[str | None, str | None, str | None]
"""Transport's traceparent, tracestate and baggage, already judged."""

NO_TRACE: Trace = (None, None, None)

HOMES = {
    "id": "id",
    "source": "source",
    "type": "type",
    "content_type": "datacontenttype",
    "time": "time",
    "subject": "subject",
    "key": "partitionkey",
    "dataschema": "dataschema",
    "correlation_id": "correlationid",
    "causation_id": "causationid",
    "causation_source": "causationsource",
    "sequence": "sequence",
    "stream_id": "streamid",
    "stream_epoch": "streamepoch",
    "idempotency_key": "idempotencykey",
}
"""Fields of Envelope that hold an attribute's text as it is."""
FILLED = ("data", "hops", "traceparent", "tracestate", "baggage", "extensions", "foreign")
"""Fields of Envelope that are made, in the order in which a layout is given them."""


class Layout:
    """The attribute names of one kind of envelope, in order, and where each value belongs."""

    __slots__ = ("_extensions", "_hops", "_pick", "_source", "_times", "homes", "names")

    def __init__(self, names: Sequence[str]) -> None:
        """Lay out *names*: legal, distinct, all that are required but ``specversion``."""
        self.names = tuple(names)
        place = {name: position for position, name in enumerate(names)}
        homes = dict(HOMES)
        # The extension "sequence" counts within the source. A number within a smaller stream comes
        # as "streamseq" with its "streamid"; where all three are present the smaller one counts.
        if "streamid" in place and "streamseq" in place:
            homes["sequence"] = "streamseq"
        else:
            del homes["stream_id"]
        self.homes = homes
        """Fields of Envelope, and the attribute that each holds as it is."""
        # Behind the texts stand None, the default content type and what is made: see envelope().
        at = {field: place.get(name, len(names)) for field, name in homes.items()}
        if "datacontenttype" not in place:
            at["content_type"] = len(names) + 1
        at |= {field: len(names) + 2 + index for index, field in enumerate(FILLED)}
        self._pick = itemgetter(*(at.get(field.name, len(names)) for field in fields(Envelope)))
        self._source = place["source"]
        self._hops = place.get("hopcount", -1)
        self._times = [(name, place[name]) for name in TIMESTAMPS if name in place]
        taken = {"hopcount", *homes.values()}
        self._extensions = [(name, place[name]) for name in names if name not in taken]

    def check(self, texts: Sequence[str]) -> None:
        """Raise MalformedEnvelope for a value that no attribute, or not this one, may have."""
        for name, text in zip(self.names, texts, strict=True):
            if not text and name in NON_EMPTY:
                raise MalformedEnvelope(f"attribute '{name}' is empty")
            if not legal_text(text):
                raise MalformedEnvelope(f"attribute '{name}' holds a control or non-character")

    def envelope(self, texts: list[str], data: bytes | None, trace: Trace = NO_TRACE) -> Envelope:
        """Build the envelope from checked values in the order of the names; keeps the list."""
        hops: int | None = 0
        if self._hops >= 0:
            hops = parse_count(texts[self._hops])
            if hops is None:
                raise MalformedEnvelope("attribute 'hopcount' is no Integer from 0 to 2147483647")
        if not legal_uri_reference(texts[self._source]):
            raise MalformedEnvelope("attribute 'source' is no URI reference")
        for name, position in self._times:
            try:
                parse_rfc3339(texts[position])
            except ValueError:
                raise MalformedEnvelope(f"attribute '{name}' is no RFC 3339 timestamp") from None
        extensions = EMPTY
        if self._extensions:
            extensions = {name: texts[position] for name, position in self._extensions}
        parent, state, baggage = trace
        made: tuple[Any, ...] = (None, JSON, data, hops, parent, state, baggage, extensions, False)
        texts += made
        return Envelope(*self._pick(texts))

"""An event's attributes around its payload, as CloudEvents 1.0 has them, on no transport."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from choreo.timestamps import parse_rfc3339

JSON = "application/json"
AVRO = "application/avro"

MAX_HOPS = 64
"""Default length of a chain of causes after which an event is dead-lettered as a loop."""

EMPTY: Mapping[str, str] = {}


@dataclass(slots=True, eq=False)
class Envelope:
    """One event on the wire: CloudEvents attributes, choreo's extensions and the payload's bytes.

    Times stay text until asked for: most events are handled without anyone looking at them.
    Give the fields by name; only the reader, for which twenty names would triple the cost of an
    envelope, fills them in order.
    """

    id: str
    source: str
    type: str
    data: bytes | None
    """The payload; None is a tombstone."""
    content_type: str = JSON
    time: str | None = None
    subject: str | None = None
    key: str | None = None
    """``partitionkey``: what keeps related events in order."""
    dataschema: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    causation_source: str | None = None
    """Source of the cause, where it is not this event's own."""
    hops: int = 0
    """Length of the chain of causes before this event."""
    sequence: str | None = None
    """Its number within its stream, in decimal digits."""
    stream_id: str | None = None
    """``streamid``: the stream within its source that it is numbered in; None: all of them."""
    stream_epoch: str | None = None
    """``streamepoch``: which of its producer's counts the number belongs to; a later one is higher,
    and begins anew. In decimal digits; None counts as 0."""
    idempotency_key: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    baggage: str | None = None
    extensions: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Every other attribute, kept as it came."""
    foreign: bool = False
    """Built by declaration from a record that is no CloudEvent."""
    schema_header: bytes | None = None
    """What a header says in place of the payload of where its schema is in a registry."""

    @property
    def occurred(self) -> datetime | None:
        """``time`` as an aware datetime, or None if the event has none."""
        return None if self.time is None else parse_rfc3339(self.time)

    @property
    def conversation(self) -> str:
        """The correlation id; a root event is the root of its own conversation."""
        return self.correlation_id or self.id

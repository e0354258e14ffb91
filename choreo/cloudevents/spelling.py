"""How an envelope's attributes are spelt on the wire, whatever the transport."""

from collections.abc import Iterator

from choreo.envelope import Envelope

OWN = (
    "id",
    "source",
    "type",
    "datacontenttype",
    "time",
    "partitionkey",
    "correlationid",
    "causationid",
    "causationsource",
    "hopcount",
    "sequence",
    "streamseq",
    "streamid",
    "streamepoch",
    "subject",
    "dataschema",
    "idempotencykey",
)
"""Attributes with a field of their own in Envelope, in the order in which they are written."""


def own_values(envelope: Envelope) -> tuple[str | None, ...]:
    """Tell the value of each of OWN, or None where the envelope has none."""
    # "sequence" counts within the source; a number within anything smaller must have another name,
    # so that no tool compares numbers of different streams.
    within_source = envelope.stream_id is None
    return (
        envelope.id,
        envelope.source,
        envelope.type,
        envelope.content_type,
        envelope.time,
        envelope.key,
        envelope.correlation_id,
        envelope.causation_id,
        envelope.causation_source,
        str(envelope.hops) if envelope.hops else None,
        envelope.sequence if within_source else None,
        None if within_source else envelope.sequence,
        envelope.stream_id,
        envelope.stream_epoch,
        envelope.subject,
        envelope.dataschema,
        envelope.idempotency_key,
    )


def attributes_of(envelope: Envelope) -> Iterator[tuple[str, str]]:
    """Tell name and value of every attribute but ``specversion``: our own, then the extensions."""
    for name, text in zip(OWN, own_values(envelope), strict=True):
        if text is not None:
            yield name, text
    yield from envelope.extensions.items()

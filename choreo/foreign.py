"""Records that are no CloudEvents: how their type, id, time and sequence are found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Header:
    """The value of one header (a user property on MQTT), read as UTF-8."""

    name: str


@dataclass(frozen=True)
class Field:
    """A value in a JSON body, found by JSON pointer (RFC 6901), such as ``/meta/id``."""

    pointer: str


@dataclass(frozen=True)
class Key:
    """The message's key, read as UTF-8."""


@dataclass(frozen=True)
class Position:
    """Topic, stream and position on the broker: stable on Kafka, absent from MQTT."""


@dataclass(frozen=True)
class Digest:
    """SHA-256 over topic, key and body: two equal records are then one event."""


@dataclass(frozen=True)
class BrokerTime:
    """The record's timestamp on the broker, or the time of receipt where it has none."""


Locator = Header | Field | Key | Position | Digest


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """How a record without CloudEvents attributes is read as the event that declares this.

    A record on the event's topic is taken for it if *type* is None, or if what *type* finds equals
    *equals*; declarations with a type are asked before one without. Ids must be found or derived: a
    device that repeats an id repeats the event. On a topic with fields, such as
    ``devices/{device}/reading``, those that a JSON body lacks are filled in from the topic.
    """

    id: Locator
    type: Header | Field | None = None
    equals: str | None = None
    time: Header | Field | BrokerTime = BrokerTime()
    unit: Literal["s", "ms", "us"] | None = None
    """Unit of a *time* that is a number since 1970; None where it is RFC 3339 text."""
    sequence: Header | Field | None = None
    """Where a number is found that counts the records of one key, or of the source if keyless."""
    source: str | None = None
    """CloudEvents source of such events, ``urn:choreo:foreign:<topic>`` when None."""
    content_type: Literal["application/json", "application/avro"] = "application/json"

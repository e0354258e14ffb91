"""Dead letters as others write them: Kafka Streams, Spring for Apache Kafka and Kafka Connect.

Sources: KIP-1034 (``__streams.errors.*``, text), Spring Kafka's ``KafkaHeaders`` (``kafka_dlt-*``,
numbers as big-endian int or long), KIP-298 (``__connect.errors.*``, text). Every reading is total:
whatever bytes a header holds, it tells something or nothing, and never raises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from choreo.message import Header, Message

MAX_SHOWN = 4 * 1024
"""Bytes of one header's value that are kept: a stack trace may be anybody's."""
INT, LONG = 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a letter says about the message in it, by whichever convention."""

    convention: str
    topic: str | None = None
    stream: str | None = None
    position: int | None = None
    service: str | None = None
    """Service, consumer group, connector or application that gave it up."""
    handler: str | None = None
    reason: str | None = None
    error_type: str | None = None
    error: str | None = None
    stack: str | None = None
    attempts: int | None = None
    first_failed: datetime | None = None
    buried: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """Names of headers, each without the prefix; empty for what a convention does not tell."""

    name: str
    prefix: str
    topic: str
    partition: str
    offset: str
    error_type: Sequence[str]
    """The first that is there counts: causes tell more than what wraps them."""
    error: str
    stack: str
    service: str = ""
    handler: str = ""
    foreign: tuple[str, ...] = ()
    """Further prefixes of headers that a replay must not carry."""


STREAMS = Convention(
    name="streams",
    prefix="__streams.errors.",
    topic="topic",
    partition="partition",
    offset="offset",
    error_type=("exception",),
    error="message",
    stack="stacktrace",
)
SPRING = Convention(
    name="spring",
    prefix="kafka_dlt-",
    topic="original-topic",
    partition="original-partition",
    offset="original-offset",
    error_type=("exception-cause-fqcn", "exception-fqcn"),
    error="exception-message",
    stack="exception-stacktrace",
    service="original-consumer-group",
    foreign=("kafka_exception-", "retry_topic-", "springDeserializerException"),
)
CONNECT = Convention(
    name="connect",
    prefix="__connect.errors.",
    topic="topic",
    partition="partition",
    offset="offset",
    error_type=("exception.class.name",),
    error="exception.message",
    stack="exception.stacktrace",
    service="connector.name",
    handler="stage",
)
CONVENTIONS = (STREAMS, SPRING, CONNECT)


def read(message: Message) -> Told | None:
    """Read what *message* says about itself; None if it follows none of the conventions."""
    for convention in CONVENTIONS:
        found = {
            name[len(convention.prefix) :]: value[:MAX_SHOWN]
            for name, value in message.headers
            if value is not None and name.startswith(convention.prefix)
        }
        if found:
            return _told(convention, found)
    return None


def without(headers: Sequence[Header], name: str) -> list[Header]:
    """Tell *headers* without those that the convention called *name* put there."""
    for convention in CONVENTIONS:
        if convention.name == name:
            prefixes = (convention.prefix, *convention.foreign)
            return [each for each in headers if not each[0].startswith(prefixes)]
    return list(headers)


def _told(convention: Convention, found: Mapping[str, bytes]) -> Told:
    topic, partition = _text(found, convention.topic), _number(found, convention.partition)
    kinds = [kind for name in convention.error_type if (kind := _text(found, name))]
    return Told(
        convention=convention.name,
        topic=topic,
        stream=None if topic is None or partition is None else f"{topic}-{partition}",
        position=_number(found, convention.offset),
        service=_text(found, convention.service),
        handler=_text(found, convention.handler),
        error_type=kinds[0] if kinds else None,
        error=_text(found, convention.error),
        stack=_text(found, convention.stack),
    )


def moment(seconds: float | None) -> datetime | None:
    """Read a broker's record time; None for none, or one that no calendar has."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _text(found: Mapping[str, bytes], name: str) -> str | None:
    value = found.get(name)
    return None if value is None else value.decode("utf-8", "replace")


def _number(found: Mapping[str, bytes], name: str) -> int | None:
    """Read a number written as text, or as Java writes an int or a long; none below zero."""
    value = found.get(name)
    if value is None:
        return None
    if value.isdigit() and len(value) <= len(str(2**63)):
        return int(value)
    number = int.from_bytes(value, "big", signed=True) if len(value) in {INT, LONG} else -1
    return number if number >= 0 else None

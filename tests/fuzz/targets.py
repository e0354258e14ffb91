"""What reads bytes that others wrote: each takes any bytes, and raises only what it promises to.

A target makes of its input whatever it needs, so that hypothesis, a file and atheris feed it alike.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from choreo import Event, recording
from choreo.broker import Binding
from choreo.cloudevents import EnvelopeReader
from choreo.cloudevents.trace import read_baggage, read_traceparent, read_tracestate
from choreo.codec.avro import AvroCodec, SchemaFolder
from choreo.codec.json import JsonCodec
from choreo.dead_letter import original, read_dead_letter
from choreo.envelope import Envelope
from choreo.errors import (
    ConfigurationError,
    DecodeError,
    MalformedEnvelope,
    RegistryError,
    UnsupportedSpecVersion,
)
from choreo.message import Delivery, Header, Message
from choreo.topic import Topic
from choreo_kafka.offsets import partition_count, resumed
from choreo_registry import answers

Target = Callable[[bytes], None]
PARTITION = TopicPartition("topic", 0)
KNOWN = (
    *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_datacontenttype"),
    *("content-type", "specversion", "id", "source", "type", "traceparent", "tracestate"),
    *("baggage", "ce_causationid", "ce_correlationid", "ce_sequence", "ce_streamseq"),
    *("ce_choreohops", "ce_expirytime", "ce_dataschema", "ce_partitionkey"),
    *("choreo-dlq-id", "choreo-dlq-reason", "choreo-dlq-group", "choreo-dlq-destination"),
    *("choreo-dlq-partition", "choreo-dlq-offset", "choreo-dlq-attempts", "choreo-dlq-time"),
    *("choreo-dlq-first-failure", "choreo-dlq-headers", "choreo-dlq-body", "choreo-dlq-replays"),
)
"""Names of headers that are read; the byte before a value chooses one of them."""


class Walked(Event, topic="walks", key="track", domain="fuzz"):
    track: str
    number: int = 0
    share: float = 0.0
    tags: tuple[str, ...] = ()
    legs: dict[str, int] | None = None


def json_codec(data: bytes) -> None:
    _decoded(JsonCodec().decoder(Walked), data)


def avro_codec(data: bytes) -> None:
    _decoded(_avro(), data)


def envelope(data: bytes) -> None:
    """Read headers in either spelling, whatever they hold."""
    headers, body = _headers(data)
    for binding in Binding:
        try:
            EnvelopeReader(binding, [Walked]).read(Delivery("walks", body, b"key", headers))
        except (MalformedEnvelope, UnsupportedSpecVersion):
            continue


def structured(data: bytes) -> None:
    """Read a whole event out of a body."""
    headers: list[Header] = [("content-type", b"application/cloudevents+json")]
    try:
        EnvelopeReader(Binding.KAFKA, [Walked]).read(Delivery("walks", data, None, headers))
    except (MalformedEnvelope, UnsupportedSpecVersion):
        return


def headers(data: bytes) -> None:
    """Read the trace context, which never refuses anything."""
    parts: list[bytes | None] = list(data.split(b"\n"))
    read_traceparent(data)
    read_tracestate(parts)
    read_baggage(parts)


def topics(data: bytes) -> None:
    """Declare a topic by any text, and read any name by it."""
    template, _, name = data.decode("utf-8", "replace").partition("\n")
    try:
        topic = Topic(template)
    except ConfigurationError:
        return
    topic.values(name)
    assert topic.filter
    assert len(topic.values(topic.filter)) <= len(topic.fields)


def dead_letters(data: bytes) -> None:
    """Read a letter, and restore what is in it."""
    found, body = _headers(data)
    letter = Message("choreo.dlq.walkers", body, None, found)
    read_dead_letter(letter)
    try:
        original(letter)
    except DecodeError:
        return


def commit_metadata(data: bytes) -> None:
    """Read what stands beside an offset: nothing that anybody wrote there is an obstacle."""
    text = data.decode("utf-8", "replace")
    place = resumed(PARTITION, OffsetAndMetadata(5, text), 4)
    assert place.offset >= 0
    assert 5 + 10**6 not in place.finished or len(place.finished) > 0
    partition_count(text)


def registry_answers(data: bytes) -> None:
    """Read what a registry may say, as each kind of answer there is."""
    for status in (404, 409, 422, 500):
        answers.failure("registry", status, data)
    try:
        answer = answers.read("registry", data)
    except RegistryError:
        return
    for reading in (
        answers.schema,
        answers.references,
        answers.names,
        answers.numbers,
        answers.mode,
    ):
        try:
            reading(answer, "registry")
        except RegistryError:
            continue


def recordings(data: bytes) -> None:
    """Read a line of a recording."""
    try:
        recording.message(data.decode("utf-8", "replace"))
    except (ValueError, KeyError, TypeError):
        return


TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (
        json_codec,
        avro_codec,
        envelope,
        structured,
        headers,
        topics,
        dead_letters,
        commit_metadata,
        registry_answers,
        recordings,
    )
}


def _decoded(decode: Callable[[Envelope], Walked], data: bytes) -> None:
    try:
        decode(Envelope("1", "urn:fuzz", "fuzz.Walked.v1", data))
    except DecodeError:
        return


@cache
def _avro() -> Callable[[Envelope], Walked]:
    folder = SchemaFolder(Path(mkdtemp(prefix="choreo-fuzz-")))
    folder.export(Walked)
    return AvroCodec(folder).decoder(Walked)


def _headers(data: bytes) -> tuple[list[Header], bytes]:
    """Cut bytes into headers, each after its name and its length, and a body."""
    found: list[Header] = []
    at = 1
    for _ in range(data[0] % 24 if data else 0):
        if at + 2 > len(data):
            break
        name, size = KNOWN[data[at] % len(KNOWN)], data[at + 1]
        at += 2
        found.append((name, None if size == 255 else data[at : at + size]))
        at += 0 if size == 255 else size
    return found, data[at:]

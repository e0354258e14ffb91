"""Interoperability with the official SDK, and where it deviates from the specification."""

import json
from typing import Any, cast

import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_kafka_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

from choreo.broker import Binding
from choreo.cloudevents import EnvelopeReader, EnvelopeWriter, to_structured_json
from choreo.envelope import Envelope
from choreo.errors import MalformedEnvelope
from choreo.message import Delivery, Message

ATTRIBUTES: dict[str, Any] = {
    "id": "1",
    "source": "urn:choreo:shop",
    "type": "Placed.v1",
    "specversion": "1.0",
    "subject": "ü",
    "datacontenttype": "application/json",
    "partitionkey": "k",
    "correlationid": "c",
}


def envelope(data: bytes | None = b'{"a": 1}', content_type: str = "application/json") -> Envelope:
    return Envelope(
        id="1",
        source="urn:choreo:shop",
        type="Placed.v1",
        data=data,
        content_type=content_type,
        time="2026-01-31T12:00:00.000000Z",
        subject="ü",
        key="k",
        correlation_id="c",
    )


def to_sdk(message: Message) -> KafkaMessage:
    headers = {name: value for name, value in message.headers if value is not None}
    return KafkaMessage(headers=headers, key=message.key, value=message.body or b"")


def from_sdk(message: KafkaMessage) -> Envelope | None:
    key = message.key.encode() if isinstance(message.key, str) else message.key
    headers = [(name, bytes(value)) for name, value in message.headers.items()]
    return EnvelopeReader(Binding.KAFKA).read(Delivery("orders", message.value, key, headers))


def test_the_sdk_reads_what_we_write_in_binary_mode() -> None:
    event = from_kafka_event(to_sdk(EnvelopeWriter(Binding.KAFKA).write(envelope(), "orders")))

    read = event.get_attributes()
    assert {name: read[name] for name in ATTRIBUTES} == ATTRIBUTES
    assert event.get_data() == {"a": 1}
    time = event.get_time()
    assert time is not None
    assert time.isoformat() == "2026-01-31T12:00:00+00:00"


def test_the_sdk_reads_what_we_write_in_structured_mode() -> None:
    message = KafkaMessage(
        headers={"content-type": b"application/cloudevents+json"},
        key=None,
        value=to_structured_json(envelope()),
    )

    event = from_kafka_event(message)

    assert {name: event.get_attributes()[name] for name in ATTRIBUTES} == ATTRIBUTES
    assert event.get_data() == {"a": 1}


@pytest.mark.parametrize("write", [to_binary_event, to_structured_event])
def test_we_read_what_the_sdk_writes(write: Any) -> None:  # noqa: ANN401 -- one of two overloads
    event = CloudEvent(attributes=dict(ATTRIBUTES), data={"a": 1})

    found = from_sdk(write(event))

    assert found is not None
    assert (found.id, found.source, found.type) == ("1", "urn:choreo:shop", "Placed.v1")
    assert (found.subject, found.key, found.correlation_id) == ("ü", "k", "c")
    assert json.loads(found.data or b"") == {"a": 1}


# Known deviations of SDK 2.2.0. A test that fails here says that a newer one has been mended.


def test_the_sdk_takes_a_structured_event_with_repeated_headers_for_a_binary_one() -> None:
    message = KafkaMessage(
        headers={
            "content-type": b"application/cloudevents+json",
            "ce_id": b"other",
            "ce_source": b"s",
            "ce_type": b"t",
            "ce_specversion": b"1.0",
        },
        key=None,
        value=to_structured_json(envelope()),
    )

    ours = from_sdk(message)

    assert ours is not None
    assert ours.id == "1"
    assert from_kafka_event(message).get_id() == "other"


def test_the_sdk_makes_text_of_avro_that_happens_to_be_text() -> None:
    message = to_sdk(
        EnvelopeWriter(Binding.KAFKA).write(envelope(b"abc", "application/avro"), "orders")
    )

    ours = from_sdk(message)

    assert ours is not None
    assert ours.data == b"abc"
    assert cast("object", from_kafka_event(message).get_data()) == "abc"


def test_the_sdk_writes_integers_beyond_32_bits_and_we_refuse_them() -> None:
    event = CloudEvent(attributes={**ATTRIBUTES, "big": 2**40}, data={"a": 1})

    with pytest.raises(MalformedEnvelope, match="'big'"):
        from_sdk(to_structured_event(event))

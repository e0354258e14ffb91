"""What a writer writes, a reader reads."""

from uuid import UUID

from choreo.broker import Binding
from choreo.cloudevents import EnvelopeReader, EnvelopeWriter
from choreo.codec.choice import Codecs
from choreo.codec.json import JsonCodec
from choreo.envelope import Envelope
from choreo.event import Event
from choreo.message import Delivery, Message


class Placed(Event, topic="orders", key="order"):
    order: UUID
    note: str = ""


ORDER = Placed(order=UUID(int=7), note="für ☃")


def delivered(message: Message) -> Delivery:
    return Delivery(message.topic, message.body, message.key, tuple(message.headers))


def test_the_readme_event_survives_the_trip_on_every_binding() -> None:
    codecs = Codecs(JsonCodec())
    payload = codecs.encoder(Placed)(ORDER)
    envelope = Envelope(id="1", source="urn:choreo:shop", type="Placed.v1", data=payload.data)
    for binding in Binding:
        message = EnvelopeWriter(binding).write(envelope, "orders")

        read = EnvelopeReader(binding).read(delivered(message))

        assert read is not None
        assert codecs.decoder(Placed)(read) == ORDER

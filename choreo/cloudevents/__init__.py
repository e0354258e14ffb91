"""CloudEvents 1.0 on Kafka and MQTT: envelopes read from messages and written to them."""

from choreo.cloudevents.attributes import Limits
from choreo.cloudevents.reader import EnvelopeReader
from choreo.cloudevents.structured import to_structured_json
from choreo.cloudevents.writer import EnvelopeWriter

__all__ = ["EnvelopeReader", "EnvelopeWriter", "Limits", "to_structured_json"]

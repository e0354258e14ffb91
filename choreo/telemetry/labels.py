"""What telemetry calls one service's broker, topics and streams; of bounded variety (T14)."""

from urllib.parse import urlsplit

from choreo.broker import Capabilities
from choreo.cloudevents.attributes import SPEC_VERSION
from choreo.dead_letter import dead_letter_filter
from choreo.envelope import Envelope
from choreo.event import EventType
from choreo.message import Delivery
from choreo.telemetry import conventions as names

Attributes = dict[str, str | int]


class Labels:
    """Attributes for the operations of one service on one broker."""

    def __init__(self, service: str, url: str, capabilities: Capabilities) -> None:
        self.service = service
        self.system = capabilities.system
        self.operations = names.OPERATIONS.get(capabilities.system, names.ELSEWHERE)
        self.client: Attributes = {names.SYSTEM: self.system, **_server(url)}
        """What every operation has."""
        self.consumer: Attributes = dict(self.client)
        """What every operation on received messages has."""
        if capabilities.groups:
            self.consumer[names.CONSUMER_GROUP] = service
        self._levels = capabilities.topic_levels
        self._letters = dead_letter_filter(service, capabilities).name
        self._partitions: dict[str, str | None] = {}

    def destination(self, topic: str, declared: EventType | None) -> Attributes:
        """Name where a message goes to, or came from; nothing where that would have no bounds.

        Filled topics vary with the payload: their template stands for them. Flat ones are bounded
        by what the service declares.
        """
        if not self._levels:
            return {names.DESTINATION_NAME: topic}
        if declared is None:
            letter = topic.startswith(self._letters.removesuffix("+"))
            return {names.DESTINATION_TEMPLATE: self._letters} if letter else {}
        template = declared.topic.template
        if declared.topic.fields:
            return {names.DESTINATION_TEMPLATE: template}
        return {names.DESTINATION_NAME: template}

    def origin(self, delivery: Delivery, declared: EventType | None) -> Attributes:
        """Name where a delivery came from: destination, partition or subscription."""
        attributes = self.destination(delivery.topic, declared)
        if self._levels:
            if declared is not None:
                attributes[names.SUBSCRIPTION_NAME] = declared.topic.filter
        elif (partition := self.partition(delivery.stream)) is not None:
            attributes[names.PARTITION_ID] = partition
        return attributes

    def stream(self, stream: str) -> Attributes:
        """Name a stream of which no delivery is at hand."""
        partition = self.partition(stream)
        if partition is None:
            return {names.STREAM: stream}
        topic = stream[: -len(partition) - 1]
        return {names.DESTINATION_NAME: topic, names.PARTITION_ID: partition}

    def details(self, envelope: Envelope, delivery: Delivery | None) -> Attributes:
        """Say which event it is: only for spans, where variety costs nothing."""
        found: Attributes = {
            names.MESSAGE_ID: envelope.id,
            names.CONVERSATION_ID: envelope.conversation,
            names.CE_ID: envelope.id,
            names.CE_SOURCE: envelope.source,
            names.CE_SPEC_VERSION: SPEC_VERSION,
            names.CE_TYPE: envelope.type,
        }
        if envelope.subject is not None:
            found[names.CE_SUBJECT] = envelope.subject
        if envelope.causation_id is not None:
            found[names.CAUSATION_ID] = envelope.causation_id
        if self.system == "kafka":
            found.update(_of_kafka(envelope, delivery))
        return found

    def partition(self, stream: str) -> str | None:
        """Read the partition's number out of the name of a stream that is one."""
        if stream not in self._partitions:
            number = stream.rpartition("-")[2]
            known = not self._levels and number.isdecimal() and number != stream
            self._partitions[stream] = number if known else None
        return self._partitions[stream]


def destination_of(place: Attributes) -> str | None:
    """Tell the destination in words of bounded variety, where it has such."""
    where = place.get(names.DESTINATION_TEMPLATE) or place.get(names.DESTINATION_NAME)
    return None if where is None else str(where)


def span_name(operation: str, place: Attributes) -> str:
    """Name a span: the operation, and its destination where that is of bounded variety."""
    where = destination_of(place)
    return f"{operation} {where}" if where else operation


def _of_kafka(envelope: Envelope, delivery: Delivery | None) -> Attributes:
    found: Attributes = {}
    key = envelope.key
    if delivery is not None:
        found[names.KAFKA_OFFSET] = delivery.position
        # Only a key that is text has a canonical form.
        key = delivery.key.decode("utf-8", "replace") if delivery.key is not None else None
    if key is not None and key.isprintable() and "\ufffd" not in key:
        found[names.KAFKA_KEY] = key
    if envelope.data is None:
        found[names.KAFKA_TOMBSTONE] = True
    return found


def _server(url: str) -> Attributes:
    """Read the first server that was configured, as it was configured."""
    parts = urlsplit(url)
    first = parts.netloc.rpartition("@")[2].partition(",")[0]
    if not first or parts.scheme == "memory":
        return {}
    split = urlsplit(f"//{first}")
    attributes: Attributes = {names.SERVER_ADDRESS: split.hostname or first}
    if split.port is not None:
        attributes[names.SERVER_PORT] = split.port
    return attributes

"""What the brokers say when all is over, read by raw clients and not by choreo's own."""

# The clients' stubs leave much open:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportPrivateImportUsage=false, reportUnknownVariableType=false

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, TopicPartition

from choreo import Message
from choreo.dead_letter import is_dead_letter_topic, original, read_dead_letter
from choreo.testing.checker import Letter, Logged
from choreo.testing.checker.recorder import digest
from choreo.testing.simulation.history import described

TIMEOUT = 10.0
SEQUENCE = ("ce_streamseq", "streamseq", "ce_sequence", "sequence")


@dataclass(slots=True)
class Truth:
    """What one broker has."""

    log: list[Logged] = field(default_factory=list[Logged])
    letters: list[Letter] = field(default_factory=list[Letter])
    offset: float = field(default_factory=lambda: time.time() - time.monotonic())
    """What the wall clock shows more than the one that nobody sets."""

    def take(self, message: Message, tp: str, place: int, at: float) -> None:
        """Sort in one record; *at* is the broker's wall time."""
        told = described(message)
        if is_dead_letter_topic(message.topic):
            letter = read_dead_letter(message)
            if letter is not None:
                self.letters.append(
                    Letter(
                        service=letter.service,
                        handler=letter.handler or "",
                        id=told.get("id", ""),
                        payload=digest(original(message).body),
                        at=letter.buried.timestamp() - self.offset,
                    )
                )
            return
        self.log.append(
            Logged(
                topic=message.topic,
                tp=tp,
                offset=place,
                id=told.get("id", ""),
                type=told.get("type", ""),
                key=told.get("key", ""),
                seq=_number(message),
                corr=told.get("correlation", ""),
                cause=told.get("cause", ""),
                payload=digest(message.body),
                at=at - self.offset,
            )
        )


def _number(message: Message) -> int:
    for name, value in message.headers:
        if name in SEQUENCE and value is not None and value.isdigit():
            return int(value)
    return 0


def read_kafka(bootstrap: str, run: str) -> Truth:
    """Read every record of the run's topics and letters from the beginning, read-committed."""
    client = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"truth-{run}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    truth = Truth()
    try:
        topics = client.list_topics(timeout=TIMEOUT).topics
        places = [
            TopicPartition(name, number, 0)
            for name, topic in topics.items()
            if run in name and ("dlq" in name or name.startswith(run))
            for number in topic.partitions
        ]
        left = {
            (place.topic, place.partition): end
            for place in places
            if (end := client.get_watermark_offsets(place, timeout=TIMEOUT)[1]) > 0
        }
        client.assign([place for place in places if (place.topic, place.partition) in left])
        _read_all(client, left, truth)
    finally:
        client.close()
    return truth


def _read_all(client: Consumer, left: dict[tuple[str, int], int], truth: Truth) -> None:
    while left:
        for record in client.consume(1_000, timeout=TIMEOUT):
            error = record.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    continue
                raise RuntimeError(f"the log cannot be read: {error}")
            topic, number, place = record.topic(), record.partition(), record.offset()
            assert topic is not None
            assert number is not None
            assert place is not None
            message = Message(topic, record.value(), record.key(), record.headers() or ())  # type: ignore[arg-type] # bytes
            truth.take(message, f"{topic}-{number}", place, record.timestamp()[1] / 1000)
            if place + 1 >= left.get((topic, number), 0):
                left.pop((topic, number), None)


class Places:
    """Asks again and again where groups are, without being a member of any.

    Not by an admin client, which aborts the process when the coordinator goes while it asks
    (librdkafka 2.x: ``rd_kafka_enq_once_del_source_return``).
    """

    def __init__(self, bootstrap: str, reads: Mapping[str, Sequence[TopicPartition]]) -> None:
        """Ask for each group where it is in the streams that it reads."""
        self._reads = reads
        self._clients = {
            group: Consumer(
                {"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0},
            )
            for group in reads
        }

    def read(self) -> dict[tuple[str, str], int]:
        """Read the place of each group in each stream; raise KafkaException."""
        return {
            (group, f"{place.topic}-{place.partition}"): place.offset
            for group, client in self._clients.items()
            for place in client.committed(list(self._reads[group]), timeout=TIMEOUT)
        }

    def close(self) -> None:
        """Let the clients go."""
        for client in self._clients.values():
            client.close()


def ends(bootstrap: str, topics: Iterable[str]) -> dict[str, int]:
    """Read the end of each stream."""
    client = Consumer({"bootstrap.servers": bootstrap, "group.id": "ends", "log_level": 0})
    try:
        found: dict[str, int] = {}
        for name in topics:
            for number in client.list_topics(name, timeout=TIMEOUT).topics[name].partitions:
                place = TopicPartition(name, number)
                end = client.get_watermark_offsets(place, timeout=TIMEOUT)[1]
                found[f"{name}-{number}"] = end
        return found
    finally:
        client.close()


@dataclass(slots=True)
class Observer:
    """What a raw MQTT session has seen: a place in its topic stands for a place in the log."""

    truth: Truth = field(default_factory=Truth)
    places: Counter[str] = field(default_factory=Counter[str])

    def take(self, message: Message) -> None:
        """Sort in one message as it arrives."""
        self.truth.take(message, message.topic, self.places[message.topic], time.time())
        self.places[message.topic] += 1

"""The records of a simulated broker: topics, their partitions, and what happens to a publish."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

from choreo.errors import PublishError
from choreo.message import Delivery, Message
from choreo.testing.simulation.history import Entry, History, described
from choreo.testing.simulation.host import START
from choreo.testing.simulation.wire import Conditions

STORED = 0.5
"""Share of the publishes without an answer that are in the log."""
LATE = 2.0
"""Seconds after which the last duplicate of a record is in the log."""


@dataclass(slots=True)
class Partition:
    """Records in order."""

    stream: str
    records: list[tuple[Message, float]]

    @property
    def end(self) -> int:
        """First position that does not exist yet."""
        return len(self.records)

    def delivery(self, position: int, epoch: int, at: int | None = None) -> Delivery:
        """Hand over the record at *position*, as position *at* if that is another one."""
        message, timestamp = self.records[position]
        return Delivery(
            message.topic,
            message.body,
            message.key,
            message.headers,
            retain=False,
            stream=self.stream,
            position=position if at is None else at,
            epoch=epoch,
            timestamp=timestamp,
        )


class Log:
    """All topics of one broker."""

    def __init__(self, conditions: Conditions, history: History, partitions: int) -> None:
        self._conditions = conditions
        self._history = history
        self._partitions = partitions
        self.topics: dict[str, list[Partition]] = {}
        self.underway = 0
        """Duplicates that are not in the log yet."""
        self.heard: list[Callable[[Message, Partition], None]] = []
        """Called with every record, once it is in the log."""

    def topic(self, name: str, partitions: int | None = None) -> list[Partition]:
        """Find a topic, made if need be."""
        if name not in self.topics:
            self.topics[name] = [
                Partition(f"{name}-{number}", [])
                for number in range(partitions or self._partitions)
            ]
        return self.topics[name]

    async def take(self, messages: Sequence[Message]) -> None:
        """Keep *messages*; raise PublishError for what is refused, and what has no answer."""
        happens = self._conditions.happens
        refused: dict[int, str] = {}
        unknown: dict[int, str] = {}
        stuck: set[str] = set()
        for index, message in enumerate(messages):
            stream = self._place(message).stream
            if stream in stuck:
                unknown[index] = "it came after one that was lost"
            elif happens("refused"):
                refused[index] = "the broker does not want it now"
            elif happens("unknown"):
                unknown[index] = "the connection broke before there was an answer"
                if self._conditions.chance("stored") < STORED:
                    self.append(message)
                else:
                    stuck.add(stream)
            else:
                self.append(message)
        if refused or unknown:
            raise PublishError("not all was accepted", refused=refused, unknown=unknown)

    def append(self, message: Message, *, again: bool = False) -> None:
        """Put a record at the end of its partition, and perhaps once more, later."""
        partition = self._place(message)
        now = self._conditions.loop.time()
        partition.records.append((message, START.timestamp() + now))
        self._history.add(
            Entry(
                at=now,
                kind="accepted",
                topic=message.topic,
                stream=partition.stream,
                position=partition.end - 1,
                **described(message),
            )
        )
        for hear in self.heard:
            hear(message, partition)
        if not again and self._conditions.happens("duplicated"):
            self.underway += 1
            delay = self._conditions.chance("late") * LATE
            self._conditions.later(delay, lambda: self._repeat(message))

    def _repeat(self, message: Message) -> None:
        self.underway -= 1
        self.append(message, again=True)

    def _place(self, message: Message) -> Partition:
        partitions = self.topic(message.topic)
        key = message.key if message.key is not None else b""
        return partitions[crc32(key) % len(partitions)]

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
        self.heard: list[Callable[[Message], None]] = []
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
            stream = self.stream(message)
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
                self.accept(message)
        if refused or unknown:
            raise PublishError("not all was accepted", refused=refused, unknown=unknown)

    def accept(self, message: Message) -> None:
        """Take what the publisher is told to be taken."""
        self.append(message)

    def append(self, message: Message, *, again: bool = False) -> None:
        """Put a record at the end of its partition, and perhaps once more, later."""
        now = self._conditions.loop.time()
        stream, position = self.keep(message, now)
        self._history.add(
            Entry(
                at=now,
                kind="accepted",
                topic=message.topic,
                stream=stream,
                position=position,
                **described(message),
            )
        )
        for hear in self.heard:
            hear(message)
        if not again and self._conditions.happens("duplicated"):
            self.later(message)

    def later(self, message: Message) -> None:
        """Have *message* be in the log after others."""
        self.underway += 1

        def append() -> None:
            self.underway -= 1
            self.append(message, again=True)

        self._conditions.later(self._conditions.chance("late") * LATE, append)

    def stream(self, message: Message) -> str:
        """Tell what *message* is kept in order with."""
        return self._place(message).stream

    def keep(self, message: Message, now: float) -> tuple[str, int]:
        """Keep *message*, and tell where."""
        partition = self._place(message)
        partition.records.append((message, START.timestamp() + now))
        return partition.stream, partition.end - 1

    def _place(self, message: Message) -> Partition:
        partitions = self.topic(message.topic)
        key = message.key if message.key is not None else b""
        return partitions[crc32(key) % len(partitions)]


class Channel(Log):
    """A broker's way from publishers to sessions: it keeps nothing, and may change the order."""

    def __init__(self, conditions: Conditions, history: History) -> None:
        super().__init__(conditions, history, 1)
        self._passed = 0

    def accept(self, message: Message) -> None:
        """Take it; it may come through after what is published later."""
        if self._conditions.happens("reordered"):
            self.later(message)
        else:
            self.append(message)

    def stream(self, message: Message) -> str:
        """Tell its topic."""
        return message.topic

    def keep(self, message: Message, now: float) -> tuple[str, int]:  # noqa: ARG002 -- nothing is kept
        """Count it."""
        self._passed += 1
        return "mqtt", self._passed - 1

"""Records in order: what one partition of one topic holds, and who waits for more of it."""

from collections.abc import Callable
from zlib import crc32

from choreo.message import Delivery, Header

Record = tuple[bytes | None, bytes | None, tuple[Header, ...], float]
"""Body, key, headers, timestamp: flat and immutable, so that the garbage collector lets it be."""

_blank = object.__new__

SLACK = 1024
"""Records over the retention that are let be, so that trimming costs nothing per record."""


class Partition:
    """A list of records whose first has the position *start*."""

    __slots__ = (
        "_trim_at",
        "_waiting",
        "floors",
        "records",
        "retention",
        "start",
        "stream",
        "topic",
    )

    def __init__(self, topic: str, number: int, retention: int) -> None:
        self.topic = topic
        self.stream = f"{topic}-{number}"
        self.records: list[Record] = []
        self.start = 0
        self.retention = retention
        self.floors: list[Callable[[], int]] = []
        """For each group that ever read it, the first position that group has not settled."""
        self._waiting: list[Callable[[], None]] = []
        self._trim_at = retention + SLACK

    @property
    def end(self) -> int:
        """First position that does not exist yet."""
        return self.start + len(self.records)

    def wait(self, wake: Callable[[], None]) -> None:
        """Call *wake*, once, after the next records have come."""
        self._waiting.append(wake)

    def announce(self) -> None:
        """Wake those who wait, now that records have come; drop old ones when there are many."""
        if len(self.records) > self._trim_at:
            self._trim()
        if self._waiting:
            woken, self._waiting = self._waiting, []
            for wake in woken:
                wake()

    def deliveries(self, first: int, end: int, epoch: int) -> list[Delivery]:
        """Make the deliveries of the records from position *first* up to, not including, *end*."""
        topic, stream = self.topic, self.stream
        found: list[Delivery] = []
        records = self.records[first - self.start : end - self.start]
        for position, (body, key, headers, timestamp) in enumerate(records, first):
            delivery: Delivery = _blank(Delivery)  # its constructor costs half as much again
            delivery.topic, delivery.stream, delivery.position = topic, stream, position
            delivery.body, delivery.key, delivery.headers = body, key, headers
            delivery.retain, delivery.epoch, delivery.timestamp = False, epoch, timestamp
            found.append(delivery)
        return found

    def _trim(self) -> None:
        excess = self.end - self.retention
        settled = min([floor() for floor in self.floors], default=excess)
        drop = min(excess, settled) - self.start
        if drop > 0:
            del self.records[:drop]
            self.start += drop
        self._trim_at = max(self.retention, len(self.records)) + SLACK


class TopicLog:
    """The partitions of one topic."""

    __slots__ = ("_turn", "name", "partitions")

    def __init__(self, name: str, partitions: int, retention: int) -> None:
        self.name = name
        self.partitions = tuple(Partition(name, n, retention) for n in range(partitions))
        self._turn = 0

    def of(self, key: bytes) -> Partition:
        """Choose the partition of *key*: the same in every process."""
        return self.partitions[crc32(key) % len(self.partitions)]

    def next(self) -> Partition:
        """Choose the partition of what has no key: all in turn."""
        self._turn += 1
        return self.partitions[self._turn % len(self.partitions)]

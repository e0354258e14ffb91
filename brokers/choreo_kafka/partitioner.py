"""Which partition a key belongs to: murmur2, as in Java's client, so all writers agree (K26)."""

from collections.abc import Callable
from typing import cast

from aiokafka import partitioner

_murmur2 = cast("Callable[[bytes], int]", partitioner.murmur2)  # pyright: ignore[reportUnknownMemberType]

KEPT = 65_536
"""Keys whose partition is remembered; computing one costs as much as all else about a message."""


class Partitioner(dict[bytes, int]):
    """The partition of each key of one topic, as Kafka's own clients choose it.

    What has no key goes to each partition in turn.
    """

    __slots__ = ("_turn", "count")

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        """How many partitions the topic has."""
        self._turn = 0

    def __missing__(self, key: bytes) -> int:
        if len(self) >= KEPT:
            self.clear()
        found = self[key] = (_murmur2(key) & 0x7FFFFFFF) % self.count
        return found

    def next(self) -> int:
        """Choose a partition for messages without a key, each time the next."""
        self._turn += 1
        return self._turn % self.count

"""Which partition a key belongs to: murmur2, as in Java's client, so all writers agree (K26)."""

from collections.abc import Callable
from typing import cast

from aiokafka import partitioner

_murmur2 = cast("Callable[[bytes], int]", partitioner.murmur2)  # pyright: ignore[reportUnknownMemberType]

KEPT = 65_536
"""Keys whose hash is remembered; computing one costs as much as all else about a message."""


class Partitioner:
    """Spreads keys over partitions as Kafka's own clients do, and keyless batches in turn."""

    __slots__ = ("_hashes", "_turn")

    def __init__(self) -> None:
        self._hashes: dict[bytes, int] = {}
        self._turn = 0

    def of(self, key: bytes, partitions: int) -> int:
        """Tell the partition of *key* among *partitions*."""
        found = self._hashes.get(key)
        if found is None:
            if len(self._hashes) >= KEPT:
                self._hashes.clear()
            found = self._hashes[key] = _murmur2(key) & 0x7FFFFFFF
        return found % partitions

    def next(self, partitions: int) -> int:
        """Choose a partition for messages without a key, each time the next."""
        self._turn += 1
        return self._turn % partitions

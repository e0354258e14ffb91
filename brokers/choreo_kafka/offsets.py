"""Where to begin reading a partition, and what is written beside its committed offset.

The metadata of every commit holds what is finished above the offset (see Watermark) and, after
``;p``, how many partitions the topic had: a partition without an offset is thereby known to be
younger than the group, and a topic that grew is noticed, at whatever time the member starts (K25).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from choreo.delivery.watermark import Finished

METADATA_LIMIT = 4096 - 16
"""Characters a broker takes by default (offset.metadata.max.bytes), less those of our suffix."""
SUFFIX = re.compile(r";p(\d{1,6})$")

Start = Literal["earliest", "latest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a partition is read from."""

    partition: TopicPartition
    partitions: int
    """How many partitions its topic has now."""
    offset: int
    finished: Finished = field(default_factory=Finished)
    committed: tuple[int, str] | None = None
    """What the broker has for it; None if this start is still to be committed (K24)."""
    grew_from: int | None = None
    """How many partitions the topic had at the last commit, if not as many as now."""


def recorded(finished: str, partitions: int) -> str:
    """Write a commit's metadata."""
    return f"{finished};p{partitions}"


def resumed(partition: TopicPartition, committed: OffsetAndMetadata, partitions: int) -> Place:
    """Go on where the group had committed, skipping what it had finished above that."""
    offset, metadata = committed.offset, committed.metadata or ""
    count = partition_count(metadata)
    return Place(
        partition=partition,
        partitions=partitions,
        offset=offset,
        finished=Finished.decode(offset, SUFFIX.sub("", metadata)),
        committed=(offset, metadata),
        grew_from=count if count not in {None, partitions} else None,
    )


def first_start(
    partition: TopicPartition,
    committed: Mapping[TopicPartition, OffsetAndMetadata],
    start: Start,
) -> Start:
    """Tell where a partition without an offset begins: all of it, if it is younger than its group.

    Only a partition that was there when the group began is subject to *start*; what was written to
    a later one before we heard of it must not be skipped (KIP-1327).
    """
    counts = [
        partition_count(found.metadata or "")
        for other, found in committed.items()
        if other.topic == partition.topic
    ]
    known = [count for count in counts if count is not None]
    return "earliest" if known and max(known) <= partition.partition else start


def partition_count(metadata: str) -> int | None:
    """Read how many partitions the topic had when that metadata was committed."""
    found = SUFFIX.search(metadata)
    return int(found[1]) if found else None


def all_partitions(counts: Mapping[str, int], topics: Collection[str]) -> list[TopicPartition]:
    """List every partition of *topics*."""
    return [TopicPartition(topic, n) for topic in sorted(topics) for n in range(counts[topic])]

"""Finding out where to read newly assigned partitions from, and writing that down first (K24)."""

from collections.abc import Collection

from aiokafka.structs import TopicPartition

from choreo.broker import Notice
from choreo_kafka.client import RawConsumer
from choreo_kafka.group_offsets import committed
from choreo_kafka.offsets import (
    Place,
    Start,
    all_partitions,
    first_start,
    recorded,
    resumed,
)
from choreo_kafka.stream import stream_name


async def place(
    raw: RawConsumer, partitions: Collection[TopicPartition], start: Start
) -> list[Place]:
    """Find where each of *partitions* is to be read from, committing every first start.

    A start that was not committed could be another one after a crash, and what lies between would
    be skipped.  Raises KafkaError, also when the group has moved on meanwhile.
    """
    counts = {
        topic: len(raw.partitions_for_topic(topic) or ())
        for topic in {partition.topic for partition in partitions}
    }
    for partition in partitions:  # metadata may be older than the assignment
        counts[partition.topic] = max(counts[partition.topic], partition.partition + 1)
    found = await committed(raw, all_partitions(counts, counts))
    fresh = {p: first_start(p, found, start) for p in partitions if p not in found}
    first = [p for p, begin in fresh.items() if begin == "earliest"]
    last = [p for p, begin in fresh.items() if begin == "latest"]
    offsets = {
        **(await raw.beginning_offsets(first) if first else {}),
        **(await raw.end_offsets(last) if last else {}),
    }
    starts = {p: (offset, recorded("", counts[p.topic])) for p, offset in offsets.items()}
    if starts:
        await raw.commit(starts)
    return [
        resumed(p, found[p], counts[p.topic])
        if p in found
        else Place(partition=p, partitions=counts[p.topic], offset=offsets[p], committed=starts[p])
        for p in partitions
    ]


def growth(places: Collection[Place]) -> list[Notice]:
    """Tell of every topic whose partitions are not as many as when the group last committed."""
    grown = {place.partition.topic: place for place in places if place.grew_from is not None}
    return [
        Notice(
            kind="repartitioned",
            text=f"topic {topic!r} has {place.partitions} partitions and had {place.grew_from}: "
            "keys have changed their partition, events of one key may be handled out of order",
            streams=tuple(
                stream_name(each.partition) for each in places if each.partition.topic == topic
            ),
        )
        for topic, place in grown.items()
    ]

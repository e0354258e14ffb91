"""What a group has committed, read so that an error is never taken for an absence.

aiokafka 0.14 asks for OffsetFetch v3, in which the error of the answer as a whole stands beside the
topics (since v2, KIP-88), and looks at those of the partitions only. A coordinator that has just
started and is still loading names no partition: to aiokafka the group has then never read anything,
and would begin anew, at the end of the log if it is to start with the latest.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

from aiokafka.errors import (
    KafkaError,
    NoError,
    NotCoordinatorForGroupError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from choreo_kafka.client import RawConsumer

RETRY_SECONDS = 0.1
NEVER = -1
"""The offset of a partition for which nothing was committed."""


async def committed(
    consumer: RawConsumer, partitions: Sequence[TopicPartition]
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """Read the group's offsets with their metadata; partitions without one are left out.

    Asks again for as long as the coordinator says that it may yet answer; raises KafkaError.
    """
    coordinator = cast("Any", consumer)._coordinator  # noqa: SLF001
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for partition in partitions:
        by_topic[partition.topic].append(partition.partition)
    while partitions:
        await coordinator.ensure_coordinator_known()
        request = OffsetFetchRequest(coordinator.group_id, list(by_topic.items()))
        try:
            answer = await coordinator._send_req(request)  # noqa: SLF001
            return _read(answer)
        except NotCoordinatorForGroupError:
            coordinator.coordinator_dead()
        except KafkaError as error:
            if not error.retriable:
                raise
        await asyncio.sleep(RETRY_SECONDS)
    return {}


def _read(answer: Any) -> Mapping[TopicPartition, OffsetAndMetadata]:  # noqa: ANN401 - of aiokafka
    _check(getattr(answer, "error_code", 0))
    found: dict[TopicPartition, OffsetAndMetadata] = {}
    for topic, partitions in answer.topics:
        for partition, offset, metadata, code in partitions:
            if for_code(code) is UnknownTopicOrPartitionError:
                continue
            _check(code)
            if offset != NEVER:
                found[TopicPartition(topic, partition)] = OffsetAndMetadata(offset, metadata)
    return found


def _check(code: int) -> None:
    error = for_code(code)
    if error is not NoError:
        raise error(f"the group's offsets cannot be read: error code {code}")

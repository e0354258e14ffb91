"""Whatever a broker answers to what a client asks first, or last, it begins and ends (F12).

On librdkafka's mock cluster; what is asked in between is in test_error_codes.
"""

import asyncio
from collections.abc import Callable

import pytest

from choreo.errors import ConnectionLost, PublishError
from choreo.message import Message
from choreo_kafka import KafkaBroker
from tests.kafka.ear import Ear, receive, subscription
from tests.local import MockCluster
from tests.patience import patient

METADATA, LEAVE, VERSIONS, INIT_PRODUCER = 3, 13, 18, 22
CODES = {
    METADATA: (-1, 3, 5, 7, 9, 13, 56),
    INIT_PRODUCER: (-1, 7, 14, 15, 16, 31, 42, 47, 53, 58),
    LEAVE: (-1, 7, 14, 15, 16, 25, 27, 30),
    VERSIONS: (-1, 7, 35, 42),
}
NAMES = {
    METADATA: "Metadata",
    INIT_PRODUCER: "InitProducerId",
    LEAVE: "LeaveGroup",
    VERSIONS: "ApiVersions",
}
OPTIONS = "session_timeout=3&stall_timeout=5&close_timeout=1&metadata_age=1&publish_timeout=5"
BEGINS = 40.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


async def begins(cluster: MockCluster, api: int, code: int, times: int) -> str | None:
    """Answer *times* of these requests with *code*; say what did not come about, if anything."""
    topic = cluster.create_topic("topic", partitions=1)
    url = f"kafka://{cluster.bootstrap}?{OPTIONS}"
    cluster.push_request_errors(api, *[code] * times)
    try:
        async with asyncio.timeout(patient(BEGINS)):
            while not await comes_and_goes(url, topic):
                await asyncio.sleep(0.1)
    except TimeoutError:
        return f"{code} x {times}"
    finally:
        cluster.clear_request_errors(api)
    return None


async def comes_and_goes(url: str, topic: str) -> bool:
    """Publish, receive, settle and leave; False if there is no connection yet, as a runner sees."""
    try:
        async with (
            KafkaBroker(url) as broker,
            broker.subscribe(subscription("group", topic), Ear()) as consumer,
        ):
            await insist(broker, Message(topic, b"body", b"key"))
            consumer.settle(await receive(consumer, 1))
            await consumer.flush()
    except ConnectionLost:
        return False
    return True


async def insist(broker: KafkaBroker, message: Message) -> None:
    """Publish until it is accepted."""
    while True:
        try:
            await broker.publish([message])
        except PublishError:
            continue
        return


@pytest.mark.parametrize("api", [pytest.param(api, id=NAMES[api]) for api in CODES])
async def test_a_client_begins_and_ends_whatever_it_is_answered_f12(
    mock_cluster: Callable[[int], MockCluster], api: int
) -> None:
    """Once and five times in a row, each on a cluster of its own."""
    async with asyncio.TaskGroup() as tasks:
        trials = [
            tasks.create_task(begins(mock_cluster(1), api, code, times))
            for code in CODES[api]
            for times in (1, 5)
        ]

    assert [trial.result() for trial in trials if trial.result()] == []

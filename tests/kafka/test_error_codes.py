"""Whatever a broker answers, consumption and publishing go on unaided (K18, K21, P4, F12).

On librdkafka's mock cluster, which answers any request with any code on demand.
"""

import asyncio
import contextlib
from collections.abc import Callable
from itertools import count

import pytest

from choreo.errors import PublishError
from choreo.message import Message
from choreo_kafka import KafkaBroker
from tests.kafka.answering import NAMES, Answering
from tests.kafka.ear import Ear, receive, subscription
from tests.local import MockCluster
from tests.patience import patient

PRODUCE, FETCH, COMMIT, HEARTBEAT = 0, 1, 8, 12
CODES = {
    FETCH: (-1, 2, 3, 5, 6, 7, 9, 13, 29, 56, 74, 75, 76, 78, 100),
    COMMIT: (-1, 3, 7, 12, 14, 15, 16, 22, 25, 27, 28, 29, 30, 82),
    HEARTBEAT: (-1, 7, 14, 15, 16, 22, 25, 27, 30, 82),
}
OPTIONS = "session_timeout=3&stall_timeout=5&close_timeout=1&metadata_age=1"
REFUSED = 30
"""The group may not be joined: after a stall timeout of it the consumer gives up, and says so."""
TIMES = 5
RESUMES = 45.0
"""Seconds to go on after five errors in a row; a commit refused as of an older generation makes the
client join anew, and the group waits for the ghost it leaves behind until its session ends."""
pytestmark = [pytest.mark.timeout(150)]


async def outlives(api: int, code: int) -> str | None:
    """Answer five requests with *code* under load; say what stood still, if anything did."""
    patient_options = OPTIONS.replace("stall_timeout=5", "stall_timeout=20")
    options = patient_options if code == REFUSED else OPTIONS
    ear, numbers = Ear(), count()
    async with Answering.running() as relay:
        relay.create("topic")
        async with (
            KafkaBroker(f"kafka://{relay.bootstrap}?{options}") as broker,
            broker.subscribe(subscription("group", "topic"), ear) as consumer,
        ):

            async def flow() -> None:
                sent = [Message("topic", b"%d" % next(numbers), b"%d" % key) for key in range(4)]
                await broker.publish(sent)
                wanted = {message.body for message in sent}
                while wanted:
                    batch = await consumer.poll(10)
                    wanted -= {delivery.body for delivery in batch}
                    consumer.settle(batch)

            await flow()
            for _ in range(TIMES):
                relay.push(api, code)
            try:
                async with asyncio.timeout(patient(RESUMES)):
                    while relay.waits([api]):
                        await flow()
                    await flow()
            except TimeoutError:
                told = [(notice.kind, notice.text) for notice in ear.notices]
                return f"{code}, answered so {relay.given[api]} times: {told}"
        return None if relay.given[api] == TIMES else f"{code}: {relay.given[api]} times"


@pytest.mark.slow
@pytest.mark.parametrize("api", [pytest.param(api, id=NAMES[api]) for api in CODES])
async def test_consumption_goes_on_after_any_error_code(api: int) -> None:
    """K18, K21: five times in a row, each on a cluster of its own; test_every_code: once."""
    async with asyncio.TaskGroup() as tasks:
        trials = [tasks.create_task(outlives(api, code)) for code in CODES[api]]

    assert [trial.result() for trial in trials if trial.result()] == []


@pytest.mark.parametrize("code", [-1, 2, 10, 18, 29, 32, 44, 45, 47, 59, 87, 90])
async def test_publishing_goes_on_after_a_refused_batch(
    mock_cluster: Callable[[int], MockCluster], code: int
) -> None:
    """P4: one refused batch poisons its partition for the client object, so that is replaced."""
    cluster = mock_cluster(1)
    topic = cluster.create_topic("topic", partitions=1)
    async with KafkaBroker(f"kafka://{cluster.bootstrap}?publish_timeout=5") as broker:
        await broker.publish([Message(topic, b"before", b"key")])
        cluster.push_request_errors(PRODUCE, code)

        told: PublishError | None = None
        try:
            await broker.publish([Message(topic, b"refused", b"key")])
        except PublishError as error:
            told = error
        async with asyncio.timeout(5):
            await broker.publish([Message(topic, b"after", b"key")])

        assert told is not None
        assert {**told.refused, **told.unknown}.keys() == {0}
        async with broker.subscribe(subscription("group", topic), Ear()) as consumer:
            got = await receive(consumer, 2)
    assert [delivery.body for delivery in got] == [b"before", b"after"]


@pytest.mark.parametrize("code", [3, 5, 6, 7, 19, 20])
async def test_a_passing_trouble_of_the_broker_is_no_trouble_of_the_caller(
    mock_cluster: Callable[[int], MockCluster], code: int
) -> None:
    cluster = mock_cluster(1)
    topic = cluster.create_topic("topic", partitions=1)
    async with KafkaBroker(f"kafka://{cluster.bootstrap}?publish_timeout=10") as broker:
        cluster.push_request_errors(PRODUCE, *[code] * 3)

        await broker.publish([Message(topic, b"body", b"key")])


async def test_the_messages_beside_a_spoilt_one_are_sent(
    mock_cluster: Callable[[int], MockCluster],
) -> None:
    """P4, P6: a batch refused as a whole is sent again one by one."""
    cluster = mock_cluster(1)
    topic = cluster.create_topic("topic", partitions=1)
    async with KafkaBroker(f"kafka://{cluster.bootstrap}?publish_timeout=10") as broker:
        cluster.push_request_errors(PRODUCE, 32, 0, 32)

        with pytest.raises(PublishError) as told:
            await broker.publish([Message(topic, b"%d" % n, b"%d" % (n % 2)) for n in range(6)])

        # The second is the one at fault; those behind it in its key are held back.
        assert set(told.value.refused) == {1}
        assert set(told.value.unknown) == {3, 5}
        async with broker.subscribe(subscription("group", topic), Ear()) as consumer:
            got = await receive(consumer, 3)
    assert [delivery.body for delivery in got] == [b"0", b"2", b"4"]


async def test_without_brokers_the_fate_of_a_message_is_unknown(
    mock_cluster: Callable[[int], MockCluster],
) -> None:
    """P2, P3: bounded, told as unknown, and publishing works again when they are back."""
    cluster = mock_cluster(1)
    topic = cluster.create_topic("topic", partitions=1)
    async with KafkaBroker(f"kafka://{cluster.bootstrap}?publish_timeout=2") as broker:
        await broker.publish([Message(topic, b"before", b"key")])
        cluster.broker_down(1)

        with pytest.raises(PublishError) as told:
            async with asyncio.timeout(4):
                await broker.publish([Message(topic, b"lost?", b"key")])
        cluster.broker_up(1)

        assert set(told.value.unknown) == {0}
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(PublishError):
                    await broker.publish([Message(topic, b"after", b"key")])
                    break


async def test_closing_without_brokers_is_bounded(
    mock_cluster: Callable[[int], MockCluster],
) -> None:
    """K20, A4: no hang, and no cancellation that nobody asked for."""
    cluster = mock_cluster(1)
    topic = cluster.create_topic("topic", partitions=2)
    siblings: list[str] = []

    async def sibling() -> None:
        await asyncio.sleep(0.1)
        siblings.append("survived")

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        async with (
            KafkaBroker(f"kafka://{cluster.bootstrap}?close_timeout=1") as broker,
            broker.subscribe(subscription("group", topic), Ear()) as consumer,
        ):
            await broker.publish([Message(topic, b"body", b"key")])
            consumer.settle(await consumer.poll(1))
            cluster.broker_down(1)
        tasks.create_task(sibling())

    assert siblings == ["survived"]

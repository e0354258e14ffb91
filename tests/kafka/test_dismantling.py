"""A client object that does not stop by itself is taken apart, and nothing of it is left."""

import asyncio
import gc
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from weakref import ref

import pytest

from choreo_kafka.client import Batch, Clients, RawProducer, counted, records_of
from choreo_kafka.dismantling import stop
from choreo_kafka.generation import Generation
from choreo_kafka.settings import KafkaSettings
from tests.local import MockCluster
from tests.patience import patient

NO_TIME = timedelta(milliseconds=50)


async def deserted(cluster: MockCluster) -> RawProducer:
    """Start a producer, and take its broker away."""
    topic = cluster.create_topic("topic", partitions=1)
    settings = KafkaSettings.parse(f"kafka://{cluster.bootstrap}")
    producer = Clients(settings, None).producer()
    await producer.start()
    await producer.partitions_for(topic)
    cluster.broker_down(1)
    return producer


def batch_of(producer: RawProducer) -> Batch:
    batch = producer.create_batch()
    records_of(batch).append(0, None, None, b"lost", [])
    counted(batch, 1)
    return batch


async def stuck(cluster: MockCluster) -> tuple[RawProducer, asyncio.Future[object]]:
    """Start a producer, and give it a batch that no broker will answer."""
    producer = await deserted(cluster)
    return producer, await producer.send_batch(batch_of(producer), "topic", partition=0)


async def test_no_task_of_a_producer_outlives_it_p3(
    mock_cluster: Callable[[int], MockCluster],
) -> None:
    """P3: its own stop waits for ever for what it cannot send, in a task that it forgets."""
    before = asyncio.all_tasks()
    producer, _answer = await stuck(mock_cluster(1))

    await stop(producer, NO_TIME)

    assert asyncio.all_tasks() - before == set()


async def test_who_waits_for_a_batch_is_told_that_it_will_not_be_sent_p3(
    mock_cluster: Callable[[int], MockCluster],
) -> None:
    """P3."""
    producer, answer = await stuck(mock_cluster(1))

    await stop(producer, NO_TIME)

    async with asyncio.timeout(patient(5)):
        await asyncio.wait([answer])
    assert answer.exception() is not None


async def test_a_batch_that_nobody_waits_for_goes_without_a_word_p3(
    mock_cluster: Callable[[int], MockCluster],
) -> None:
    """P3: neither a pending task that is destroyed, nor an exception that nobody fetched."""
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    producer, answer = await stuck(mock_cluster(1))
    answer.cancel()
    gone = ref(producer)

    await stop(producer, NO_TIME)
    del producer, answer
    await asyncio.sleep(0)
    gc.collect()

    assert gone() is None
    assert said == []


async def test_a_batch_that_had_no_answer_in_time_goes_without_a_word_p2(
    mock_cluster: Callable[[int], MockCluster],
) -> None:
    """P2, P3: who gave up waiting does not fetch what becomes of it later."""
    said: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(context))
    generation = Generation(await deserted(mock_cluster(1)))
    batch = batch_of(generation.raw)
    with pytest.raises(TimeoutError):
        await generation.send(batch, "topic", 0, loop.time() + NO_TIME.total_seconds())

    await stop(generation.raw, NO_TIME)
    del generation, batch
    await asyncio.sleep(0)
    gc.collect()

    assert said == []

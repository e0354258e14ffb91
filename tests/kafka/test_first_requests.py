"""Whatever is answered five times to what is asked first, or last, a client begins and ends (F12).

What is asked in between is in test_error_codes, and every code once in test_every_code.
"""

import asyncio

import pytest

from choreo.errors import ConnectionLost, PublishError
from choreo.message import Message
from choreo_kafka import KafkaBroker
from tests.kafka.answering import NAMES, Answering
from tests.kafka.ear import Ear, receive, subscription
from tests.patience import patient

OFFSETS, METADATA, OFFSET_FETCH, COORDINATOR = 2, 3, 9, 10
JOIN, LEAVE, SYNC, VERSIONS, INIT_PRODUCER = 11, 13, 14, 18, 22
CODES = {
    METADATA: (-1, 3, 5, 7, 9, 13, 56),
    OFFSETS: (-1, 3, 5, 6, 7, 43, 78),
    OFFSET_FETCH: (-1, 14, 15, 16, 22, 25),
    COORDINATOR: (-1, 7, 14, 15, 16),
    JOIN: (-1, 14, 15, 16, 22, 23, 24, 25, 26, 27, 81, 82),
    SYNC: (-1, 14, 15, 16, 22, 25, 27, 82),
    INIT_PRODUCER: (-1, 7, 14, 15, 16, 31, 42, 47, 53, 58),
    LEAVE: (-1, 7, 14, 15, 16, 25, 27, 30),
    VERSIONS: (-1, 7, 35, 42),
}
TIMES = 5
OPTIONS = "session_timeout=3&stall_timeout=5&close_timeout=1&metadata_age=1&publish_timeout=5"
BEGINS = 40.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


async def begins(api: int, code: int) -> str | None:
    """Answer five of these requests with *code*; say what did not come about, if anything."""
    async with Answering.running() as relay:
        relay.create("topic")
        for _ in range(TIMES):
            relay.push(api, code)
        url = f"kafka://{relay.bootstrap}?{OPTIONS}"
        try:
            async with asyncio.timeout(patient(BEGINS)):
                while not await comes_and_goes(url, "topic") or relay.waits([api]):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            return f"{code}: answered so {relay.given[api]} times"
        return None if relay.given[api] == TIMES else f"{code}: {relay.given[api]} times"


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
async def test_a_client_begins_and_ends_whatever_it_is_answered_f12(api: int) -> None:
    """Five times in a row, each on a cluster of its own."""
    async with asyncio.TaskGroup() as tasks:
        trials = [tasks.create_task(begins(api, code)) for code in CODES[api]]

    assert [trial.result() for trial in trials if trial.result()] == []

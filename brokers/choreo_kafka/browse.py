"""Reading a topic again from its beginning, in no group."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from choreo.broker import TopicFilter
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost
from choreo.message import Delivery
from choreo_kafka.client import Clients, RawConsumer, Record, described
from choreo_kafka.dismantling import stop
from choreo_kafka.settings import KafkaSettings
from choreo_kafka.stream import stream_name

FETCH = 250
POLL_MS = 500
READ_TIMEOUT = 30.0
"""Seconds without any progress after which a reading that is to end gives up."""


@asynccontextmanager
async def browsing(
    clients: Clients, settings: KafkaSettings, topic: TopicFilter, *, follow: bool
) -> AsyncGenerator[AsyncIterator[Delivery]]:
    """Open a reading of *topic*; raise ConfigurationError if it does not exist."""
    raw = clients.reader()
    try:
        async with asyncio.timeout(settings.connect_timeout.total_seconds()):
            await raw.start()
            places = await _places(raw, topic.name)
            raw.assign(places)
            begins = await raw.beginning_offsets(places)
            ends = await raw.end_offsets(places)
    except BaseException as error:
        await stop(raw, settings.close_timeout)
        if isinstance(error, KafkaError | TimeoutError | OSError):
            raise ConnectionLost(f"{settings.url} cannot be read: {error!r}") from error
        raise
    for place, begin in (ends if topic.fresh else begins).items():
        raw.seek(place, begin)
    reading = _follow(raw) if follow else _read(raw, ends)
    try:
        yield reading
    finally:
        await reading.aclose()
        await stop(raw, settings.close_timeout)


async def _places(raw: RawConsumer, topic: str) -> list[TopicPartition]:
    count = (await described(raw, [topic])).get(topic)
    if count is None:
        raise ConfigurationError(f"topic {topic!r} does not exist")
    return [TopicPartition(topic, number) for number in range(count)]


async def _read(raw: RawConsumer, ends: Mapping[TopicPartition, int]) -> AsyncGenerator[Delivery]:
    """Read every partition up to its end; markers at the end move the position only (K2)."""
    loop = asyncio.get_running_loop()
    left = {place: end for place, end in ends.items() if await raw.position(place) < end}
    since = loop.time()
    while left:
        got = await _poll(raw, list(left))
        for place, records in got.items():
            for record in records:
                if record.offset < ends[place]:
                    yield _delivery(place, record)
            since = loop.time()
        for place in list(left):
            if await raw.position(place) >= ends[place]:
                del left[place]
        if loop.time() - since > READ_TIMEOUT:
            raise BrokerError(f"no progress in reading {', '.join(map(stream_name, left))}")


async def _follow(raw: RawConsumer) -> AsyncGenerator[Delivery]:
    places = list(raw.assignment())
    while True:
        for place, records in (await _poll(raw, places)).items():
            for record in records:
                yield _delivery(place, record)


async def _poll(
    raw: RawConsumer, places: list[TopicPartition]
) -> Mapping[TopicPartition, list[Record]]:
    try:
        got = await raw.getmany(*places, timeout_ms=POLL_MS, max_records=FETCH)
        return {place: list(records) for place, records in got.items()}
    except OffsetOutOfRangeError as error:  # trimmed while we read
        for place, first in (await raw.beginning_offsets(list(error.args[0]))).items():
            raw.seek(place, first)
        return {}
    except KafkaError as error:
        raise BrokerError(f"reading failed: {error!r}") from error


def _delivery(place: TopicPartition, record: Record) -> Delivery:
    return Delivery(
        topic=place.topic,
        body=record.value,
        key=record.key,
        headers=record.headers,
        stream=stream_name(place),
        position=record.offset,
        timestamp=record.timestamp / 1000 if record.timestamp >= 0 else None,
    )

"""How long Kafka may hand an event over again, and so how long its end is remembered (I7)."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from choreo import Event, Service
from choreo.broker import TopicSpec, open_broker
from choreo.dead_letter import dead_letter_topic
from choreo.errors import ConfigurationError
from choreo.replay import replay_topic
from choreo.runner import started
from tests.local import KafkaPart

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def kept(retention: timedelta, segment: timedelta, policy: str = "delete") -> Mapping[str, str]:
    """Configure a topic that keeps a message for *retention* from the end of its segment."""
    times = {"retention.ms": retention, "segment.ms": segment}
    values = {name: f"{int(time.total_seconds() * 1000)}" for name, time in times.items()}
    return {**values, "cleanup.policy": policy}


async def test_a_message_is_kept_until_the_last_one_of_its_segment_is_too_old_i7(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """Kafka deletes whole segments: what came first in one is kept for as long as that grows."""
    topic = fresh_name("kept")
    real_kafka.admin.create_topic(topic, partitions=1, config=kept(DAY, HOUR))

    async with open_broker(real_kafka.url) as broker:
        await broker.prepare([TopicSpec(name=topic)])

        assert broker.horizon([topic]) == DAY + HOUR


async def test_what_is_only_written_to_need_not_be_remembered_as_long_as_it_is_kept(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """Nothing is handed over again from there, be it kept for ever."""
    orders, state, name = fresh_name("orders"), fresh_name("state"), fresh_name("shop")

    class Placed(Event, topic=orders, key="order", domain=orders):
        order: str

    class Standing(Event, topic=state, key="order", domain=orders):
        order: str

    def shop(remembered: timedelta) -> Service:
        one = Service(name, broker=real_kafka.url, store="memory://", inbox_retention=remembered)

        @one.on(Placed)
        async def take(placed: Placed) -> Standing:
            return Standing(order=placed.order)

        return one

    for topic in (orders, dead_letter_topic(name), replay_topic(name)):
        real_kafka.admin.create_topic(topic, partitions=1, config=kept(DAY, HOUR))
    real_kafka.admin.create_topic(state, partitions=1, config=kept(DAY, HOUR, "compact"))

    async with started(shop(DAY + HOUR)) as running:
        assert running.worker is not None
    with pytest.raises(ConfigurationError, match=re.escape(orders)):
        async with started(shop(DAY)):
            pass

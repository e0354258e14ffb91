"""Members that come, go and die while a log is worked off: nothing is lost, order is kept."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from datetime import timedelta
from random import Random

import pytest

from choreo.message import Delivery, Message
from choreo_kafka import KafkaBroker
from choreo_kafka.consumer import KafkaConsumer
from tests.kafka.ear import Ear, subscription
from tests.kafka.severed import sever
from tests.local.parts import KafkaPart

OPTIONS = "&close_timeout=1"
EVENTS = 4_000
pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(150)]


class Work(Ear):
    """Settles in any order, some of it late, and all of it when asked to give streams back."""

    def __init__(
        self, history: list[Delivery], working: set[KafkaConsumer], random: Random
    ) -> None:
        super().__init__()
        self.history = history
        self.working = working
        self._random = random
        self._held: list[Delivery] = []
        self._settle: Callable[[list[Delivery]], None] = list[Delivery].clear

    async def revoking(self, streams: Collection[str], /) -> None:
        await super().revoking(streams)
        self.finish()

    def finish(self) -> None:
        held, self._held = self._held, []
        self._settle(held)

    async def run(self, url: str, topic: str, *, batches: int, dies: bool) -> None:
        """Take *batches* batches as a member of the group, then leave or die."""
        wish = subscription(topic, topic, drain=timedelta(seconds=5), max_span=500)
        async with KafkaBroker(url) as broker, broker.subscribe(wish, self) as consumer:
            self._settle = consumer.settle
            self.working.add(consumer)
            try:
                await self._take(consumer, batches)
            finally:
                self.working.discard(consumer)
                if not dies:
                    self.finish()
                else:
                    await sever(broker)

    async def _take(self, consumer: KafkaConsumer, batches: int) -> None:
        for _ in range(batches):
            batch = list(await consumer.poll(20))
            self.history.extend(batch)
            if complete(self.history):
                for each in self.working:
                    each.stop_intake()
            self._held.extend(batch)
            await asyncio.sleep(self._random.random() * 0.1)
            self._random.shuffle(self._held)
            done = self._random.randrange(len(self._held) + 1)
            consumer.settle(self._held[:done])
            del self._held[:done]


def complete(history: list[Delivery]) -> bool:
    """Say whether everything was handed over at least once."""
    return len({delivery.body for delivery in history}) == EVENTS


async def work_off(url: str, topic: str, random: Random, *, dying: bool) -> list[Delivery]:
    """Let members come and go until everything was handed over and settled."""
    history: list[Delivery] = []
    working: set[KafkaConsumer] = set()
    rebalances: list[tuple[str, ...]] = []

    async def members() -> None:
        while not complete(history):
            dies = dying and random.random() < 0.3
            batches = random.randrange(20, 100)
            work = Work(history, working, random)
            work.revoked = rebalances
            try:
                async with asyncio.timeout(10):
                    await work.run(url, topic, batches=batches, dies=dies)
            except TimeoutError:
                continue  # nothing came any more

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(members())
    assert rebalances, "nobody had to give anything back: nothing was shown"
    return history


def in_order(history: list[Delivery]) -> bool:
    """Say whether each stream was handed over in order within each epoch of each member."""
    last: dict[tuple[str, bytes | None], int] = defaultdict(lambda: -1)
    first_time: dict[tuple[str, int], None] = {}
    for delivery in history:
        place = (delivery.stream, delivery.position)
        if place in first_time:
            continue
        first_time[place] = None
        key = (delivery.stream, delivery.key)
        if delivery.position < last[key]:
            return False
        last[key] = delivery.position
    return True


async def test_members_that_come_and_go_share_a_log_without_a_single_repetition(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """K6, K7, F4: every rebalance drains, commits and hands on exactly what is left."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=8)
    async with KafkaBroker(real_kafka.url) as broker:
        await broker.publish([Message(topic, b"%d" % n, b"%d" % (n % 100)) for n in range(EVENTS)])

    history = await work_off(real_kafka.hasty + OPTIONS, topic, Random(7), dying=False)

    assert {d.body for d in history} == {b"%d" % n for n in range(EVENTS)}
    assert [body for body, times in Counter(d.body for d in history).items() if times > 1] == []
    assert in_order(history)


async def test_members_that_die_lose_nothing(
    real_kafka: KafkaPart, fresh_name: Callable[[str], str]
) -> None:
    """F1, K1."""
    topic = real_kafka.create_topic(fresh_name("topic"), partitions=8)
    async with KafkaBroker(real_kafka.url) as broker:
        await broker.publish([Message(topic, b"%d" % n, b"%d" % (n % 100)) for n in range(EVENTS)])

    history = await work_off(real_kafka.hasty + OPTIONS, topic, Random(9), dying=True)

    assert {d.body for d in history} == {b"%d" % n for n in range(EVENTS)}
    assert in_order(history)

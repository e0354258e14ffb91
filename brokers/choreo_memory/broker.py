"""MemoryBroker: Kafka's model in one process and one event loop, with no client and no server."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Self

from choreo.broker import (
    Binding,
    Broker,
    Capabilities,
    Listener,
    Subscription,
    TopicFilter,
    TopicSpec,
)
from choreo.clock import Clock, SystemClock
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost, PublishError
from choreo.message import Delivery, Message
from choreo_memory.consumer import MemoryConsumer
from choreo_memory.group import Group
from choreo_memory.log import Log, shared
from choreo_memory.partition import Partition, TopicLog
from choreo_memory.settings import Settings, topic_problem

BREATH = 256
"""Records after which publishing lets other tasks run."""
CHUNK = 256
"""Records that browsing takes from a partition at a time."""


class MemoryBroker:
    """One client of the log that its URL names.

    Brokers with one name share one log, which lives as long as any of them is referred to: a
    consumer that comes back within the process finds its place, and nothing survives the process.
    Topics appear when they are first named. Nothing depends on hash seeds, on randomness or, with
    a clock of one's own, on time: the same calls in the same order give the same deliveries.
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        """Build the client for ``memory://name?option=…``; *clock* times records and drains."""
        self._settings = Settings.parse(url)
        self._log = shared(self._settings)
        self._clock = clock or SystemClock()
        self._consumers: dict[MemoryConsumer, Group] = {}
        self._state = "new"
        self._published = 0

    @property
    def url(self) -> str:
        """The name, without options."""
        return f"memory://{self._settings.name}"

    @property
    def capabilities(self) -> Capabilities:
        """What a partitioned log can do, save surviving its process."""
        return Capabilities(
            binding=Binding.KAFKA,
            system="inmemory",
            keys=True,
            durable=False,
            resumes=True,
            groups=True,
            binary_headers=True,
            tombstones=True,
            topic_levels=False,
            retained=False,
            browsable=True,
            max_message_bytes=self._settings.max_message_bytes,
            in_process=True,
        )

    async def __aenter__(self) -> Self:
        """Join the log; raise ConfigurationError if it is in use in another event loop."""
        if self._state == "open":
            raise BrokerError(f"{self.url} is open already: make another MemoryBroker")
        self._log.enter()
        self._state = "open"
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let every consumer go."""
        if self._state == "open":
            self._state = "closed"
            self._log.exit()
        while self._consumers:
            consumer, group = self._consumers.popitem()
            consumer.stop_intake()
            await group.leave(consumer)

    def crash(self) -> None:
        """Die as by ``kill -9``, for tests: nothing this client does from now on has any effect."""
        if self._state == "open":
            self._state = "crashed"
            self._log.exit()
        for consumer, group in self._consumers.items():
            consumer.stop_intake()
            group.drop(consumer)

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        """Check that *topics* exist as expected, creating those that ask for it."""
        log = self._opened()
        problems = [problem for spec in topics if (problem := self._differs(log, spec))]
        if problems:
            raise ConfigurationError("; ".join(problems))
        for spec in topics:
            if spec.name not in log.topics:
                log.create(spec.name, spec.partitions)

    def horizon(self, topics: Sequence[str], /) -> timedelta | None:  # noqa: ARG002 -- the same for all
        """Tell that nothing comes again once the process has ended."""
        return timedelta(0)

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Append *messages*; raise PublishError naming those that are not fit to be."""
        log = self._opened()
        timestamp = self._clock.now().timestamp()
        refused: dict[int, str] = {}
        touched: dict[Partition, None] = {}
        keyless: dict[TopicLog, Partition] = {}
        for index, message in enumerate(messages):
            topic = log.topics.get(message.topic)
            problem = self._unfit(message, known=topic is not None)
            if problem:
                refused[index] = problem
                continue
            topic = topic or log.create(message.topic, None)
            if message.key is not None:
                partition = topic.of(message.key)
            else:
                partition = keyless.get(topic) or keyless.setdefault(topic, topic.next())
            partition.records.append((message.body, message.key, tuple(message.headers), timestamp))
            touched[partition] = None
        for partition in touched:
            partition.announce()
        if refused:
            raise PublishError(
                f"{len(refused)} of {len(messages)} messages refused", refused=refused
            )
        self._published += len(messages)
        if self._published >= BREATH:
            self._published = 0
            await asyncio.sleep(0)

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[MemoryConsumer]:
        """Join the group; on leaving, drop what is unsettled so that others are handed it."""
        log = self._opened()
        if not subscription.group or not subscription.topics:
            raise ConfigurationError("a subscription needs a group and at least one topic")
        for topic in subscription.topics:
            _check(topic)
        topics = [log.topic(topic.name) for topic in subscription.topics]
        group = log.group(subscription.group)
        consumer = MemoryConsumer(subscription, listener, self._clock)
        self._consumers[consumer] = group
        group.join(consumer, topics, latest=subscription.start == "latest")
        try:
            yield consumer
        finally:
            self._consumers.pop(consumer, None)
            consumer.stop_intake()
            await group.leave(consumer)

    @asynccontextmanager
    async def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """Read a topic from its beginning, partition by partition, in no group."""
        _check(topic)
        partitions = self._opened().topic(topic.name).partitions
        ends = [partition.end for partition in partitions]
        begins = ends if topic.fresh else [partition.start for partition in partitions]
        reading = _read(partitions, begins, ends, follow=follow)
        try:
            yield reading
        finally:
            await reading.aclose()

    def _opened(self) -> Log:
        if self._state == "open":
            self._log.check_loop()
            return self._log
        if self._state == "new":
            raise BrokerError(f"{self.url} is not open: use it in 'async with'")
        raise ConnectionLost(f"{self.url} is {self._state}")

    def _unfit(self, message: Message, *, known: bool) -> str | None:
        if message.retain:
            return "a partitioned log keeps no last value per topic: publish without retain"
        limit = self._settings.max_message_bytes
        if limit is not None and _size(message) > limit:
            return f"{_size(message)} bytes are more than max_message_bytes={limit}"
        return None if known else topic_problem(message.topic)

    def _differs(self, log: Log, spec: TopicSpec) -> str | None:
        topic = log.topics.get(spec.name)
        if topic is None:
            return (
                topic_problem(spec.name) if spec.create else f"topic {spec.name!r} does not exist"
            )
        found = len(topic.partitions)
        if spec.partitions not in {None, found}:
            return f"topic {spec.name!r} has {found} partitions, not {spec.partitions}"
        return None


def _check(topic: TopicFilter) -> None:
    problem = topic_problem(topic.name)
    if topic.retained:
        problem = f"topic {topic.name!r}: a partitioned log keeps no last value per topic"
    if problem:
        raise ConfigurationError(problem)


def _size(message: Message) -> int:
    headers = sum(len(name.encode()) + len(value or b"") for name, value in message.headers)
    return len(message.body or b"") + len(message.key or b"") + headers


async def _read(
    partitions: Sequence[Partition], begins: list[int], ends: list[int], *, follow: bool
) -> AsyncGenerator[Delivery]:
    """Read every partition up to its one of *ends*; with *follow* go on as more comes."""
    cursors = list(begins)
    more = asyncio.Event()
    while True:
        for index, partition in enumerate(partitions):
            while cursors[index] < ends[index]:
                first = max(cursors[index], partition.start)  # what was there may be gone by now
                cursors[index] = max(first, min(first + CHUNK, ends[index]))
                for delivery in partition.deliveries(first, cursors[index], 0):
                    yield delivery
        if not follow:
            return
        if cursors == [partition.end for partition in partitions]:
            more.clear()
            for partition in partitions:
                partition.wait(more.set)
            await more.wait()
        ends = [partition.end for partition in partitions]


_: type[Broker] = MemoryBroker

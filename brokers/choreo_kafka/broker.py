"""KafkaBroker: the adapter's face, which owns the producer and makes consumers."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Self

from aiokafka import errors

from choreo.broker import (
    Binding,
    Broker,
    Capabilities,
    Listener,
    Subscription,
    TopicFilter,
    TopicSpec,
)
from choreo.errors import BrokerError, ConfigurationError, ConnectionLost
from choreo.message import Delivery, Message
from choreo_kafka.browse import browsing
from choreo_kafka.client import Clients
from choreo_kafka.consumer import KafkaConsumer
from choreo_kafka.producer import Producer
from choreo_kafka.security import TokenProvider, warn_if_readable
from choreo_kafka.settings import KafkaSettings, topic_problem
from choreo_kafka.topics import Topics


class KafkaBroker:
    """One Kafka cluster, reached by one producer and a consumer per subscription."""

    def __init__(self, url: str, *, tokens: TokenProvider | None = None) -> None:
        """Build the adapter for ``kafka://[user:pass@]host:port[,…]?option=…``; see KafkaSettings.

        *tokens* logs in where the URL says ``sasl=OAUTHBEARER``.
        """
        self._settings = KafkaSettings.parse(url)
        self._clients = Clients(self._settings, tokens)
        self._topics = Topics(self._clients, self._settings)
        self._producer: Producer | None = None
        self._consumers: set[KafkaConsumer] = set()

    def __repr__(self) -> str:
        return f"KafkaBroker({self.url!r})"

    @property
    def url(self) -> str:
        """Where it is, without credentials and options."""
        return self._settings.url

    @property
    def capabilities(self) -> Capabilities:
        """What Kafka does, with acks=all and an idempotent producer."""
        return Capabilities(
            binding=Binding.KAFKA,
            system="kafka",
            keys=True,
            durable=True,
            resumes=True,
            groups=True,
            binary_headers=True,
            tombstones=True,
            topic_levels=False,
            retained=False,
            browsable=True,
            max_message_bytes=self._settings.max_message_bytes,
            tells_outages=True,
        )

    async def __aenter__(self) -> Self:
        """Connect and log in; raise ConnectionLost or ConfigurationError if that fails."""
        if self._producer is not None:
            raise BrokerError(f"{self.url} is open already: make another KafkaBroker")
        warn_if_readable(self._settings)
        producer = Producer(self._clients, self._settings)
        try:
            await producer.open()
        except (errors.KafkaError, TimeoutError, OSError) as error:
            obstacle = await self._clients.obstacle()
            if obstacle is not None and obstacle.final:
                raise ConfigurationError(f"{self.url} refuses us: {obstacle.text}") from error
            reason = repr(error) if obstacle is None else obstacle.text
            raise ConnectionLost(f"{self.url} cannot be reached: {reason}") from error
        self._producer = producer
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let every consumer and the producer go, each within its close timeout."""
        while self._consumers:
            await self._consumers.pop().close()
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close()

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        """Check that *topics* exist as expected, creating those that ask for it."""
        producer = self._opened()
        if topics:
            producer.limits.update(await self._topics.prepare(topics))

    def horizon(self, topics: Sequence[str], /) -> timedelta | None:
        """Tell the longest retention of *topics*: a group may be set back to their beginnings."""
        limits = self._opened().limits
        kept = [limits[name].retention if name in limits else None for name in topics]
        known = [retention for retention in kept if retention is not None]
        return max(known, default=None) if len(known) == len(kept) else None

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Return once every message is stored on all replicas in sync, in order within a key."""
        await self._opened().publish(messages)

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[KafkaConsumer]:
        """Join the group; on leaving, drop what is unsettled so that others are handed it."""
        self._opened()
        if not subscription.group or not subscription.topics:
            raise ConfigurationError("a subscription needs a group and at least one topic")
        for topic in subscription.topics:
            _check(topic)
        consumer = KafkaConsumer(self._clients, self._settings, subscription, listener)
        self._consumers.add(consumer)
        try:
            await consumer.open()
            yield consumer
        finally:
            self._consumers.discard(consumer)
            await consumer.close()

    @asynccontextmanager
    async def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """Read a topic from its beginning, in no group and settling nothing."""
        self._opened()
        _check(topic)
        async with browsing(self._clients, self._settings, topic, follow=follow) as reading:
            yield reading

    def _opened(self) -> Producer:
        if self._producer is None:
            raise BrokerError(f"{self.url} is not open: use it in 'async with'")
        return self._producer


def _check(topic: TopicFilter) -> None:
    problem = topic_problem(topic.name)
    if topic.retained:
        problem = f"topic {topic.name!r}: Kafka keeps no last value per topic"
    if problem:
        raise ConfigurationError(problem)


_: type[Broker] = KafkaBroker

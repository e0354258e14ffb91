"""A broker within a broker: the same port, with every topic and group under a prefix of its own."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Self, TypeVar

from choreo.broker import (
    Broker,
    Capabilities,
    Consumer,
    Listener,
    Progress,
    Subscription,
    TopicFilter,
    TopicSpec,
)
from choreo.message import Delivery, Message

Named = TypeVar("Named", TopicFilter, TopicSpec)


class NamespacedBroker:
    """Keeps a world apart from everything else on a shared broker."""

    def __init__(self, broker: Broker, namespace: str) -> None:
        self._broker = broker
        self._namespace = namespace
        self._prefix = namespace + ("/" if broker.capabilities.topic_levels else ".")

    @property
    def url(self) -> str:
        """Where the broker is, without credentials."""
        return self._broker.url

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter can do."""
        return self._broker.capabilities

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._broker.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let go of every resource."""
        await self._broker.__aexit__(*exc)

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        """Check that *topics* exist here, creating those that ask for it."""
        await self._broker.prepare([self._within(topic) for topic in topics])

    def horizon(self, topics: Sequence[str], /) -> timedelta | None:
        """Tell how long after its publication an event may be handed over again."""
        return self._broker.horizon([self._inner(name) for name in topics])

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Return once the broker has accepted every message."""
        await self._broker.publish(
            [replace(message, topic=self._inner(message.topic)) for message in messages]
        )

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[Consumer]:
        """Join the group of this namespace."""
        within = replace(
            subscription,
            group=f"{self._namespace}.{subscription.group}",
            topics=tuple(self._within(topic) for topic in subscription.topics),
        )
        async with self._broker.subscribe(within, listener) as consumer:
            yield _NamespacedConsumer(consumer, self._prefix)

    @asynccontextmanager
    async def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """Read a topic of this namespace from its beginning."""
        async with self._broker.browse(self._within(topic), follow=follow) as deliveries:
            yield _without(self._prefix, deliveries)

    def _within(self, topic: Named) -> Named:
        return replace(topic, name=self._inner(topic.name))

    def _inner(self, name: str) -> str:
        # What no broker takes stays as it is, for the adapter to refuse.
        return name if name == "" or name.startswith("$") else self._prefix + name


class _NamespacedConsumer:
    def __init__(self, consumer: Consumer, prefix: str) -> None:
        self._consumer = consumer
        self._prefix = prefix

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        deliveries = await self._consumer.poll(limit)
        for delivery in deliveries:
            delivery.topic = delivery.topic.removeprefix(self._prefix)
        return deliveries

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        self._consumer.settle(deliveries)

    def stop_intake(self) -> None:
        self._consumer.stop_intake()

    async def flush(self) -> None:
        await self._consumer.flush()

    def progress(self) -> Sequence[Progress]:
        return self._consumer.progress()


async def _without(prefix: str, deliveries: AsyncIterator[Delivery]) -> AsyncIterator[Delivery]:
    async for delivery in deliveries:
        delivery.topic = delivery.topic.removeprefix(prefix)
        yield delivery


_: type[Broker] = NamespacedBroker

"""A broker within a broker: the same port, with every topic and group under a prefix of its own."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from choreo.broker import Broker, Consumer, Listener, Subscription, TopicFilter, TopicSpec
from choreo.message import Delivery, Message
from choreo.testing.delegation import DelegatingBroker, DelegatingConsumer

Named = TypeVar("Named", TopicFilter, TopicSpec)


class NamespacedBroker(DelegatingBroker):
    """Keeps a world apart from everything else on a shared broker."""

    def __init__(self, broker: Broker, namespace: str) -> None:
        super().__init__(broker)
        self._namespace = namespace
        self._prefix = namespace + ("/" if broker.capabilities.topic_levels else ".")

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        """Check that *topics* exist here, creating those that ask for it."""
        await self.inner.prepare([self._within(topic) for topic in topics])

    def horizon(self, topics: Sequence[str], /) -> timedelta | None:
        """Tell how long after its publication an event may be handed over again."""
        return self.inner.horizon([self._inner(name) for name in topics])

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Return once the broker has accepted every message."""
        await self.inner.publish(
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
        async with self.inner.subscribe(within, listener) as consumer:
            yield _NamespacedConsumer(consumer, self._prefix)

    @asynccontextmanager
    async def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """Read a topic of this namespace from its beginning."""
        async with self.inner.browse(self._within(topic), follow=follow) as deliveries:
            yield _without(self._prefix, deliveries)

    def _within(self, topic: Named) -> Named:
        return replace(topic, name=self._inner(topic.name))

    def _inner(self, name: str) -> str:
        # What no broker takes stays as it is, for the adapter to refuse.
        return name if name == "" or name.startswith("$") else self._prefix + name


class _NamespacedConsumer(DelegatingConsumer):
    def __init__(self, consumer: Consumer, prefix: str) -> None:
        super().__init__(consumer)
        self._prefix = prefix

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        deliveries = await self.inner.poll(limit)
        for delivery in deliveries:
            delivery.topic = delivery.topic.removeprefix(self._prefix)
        return deliveries


async def _without(prefix: str, deliveries: AsyncIterator[Delivery]) -> AsyncIterator[Delivery]:
    async for delivery in deliveries:
        delivery.topic = delivery.topic.removeprefix(prefix)
        yield delivery


_: type[Broker] = NamespacedBroker

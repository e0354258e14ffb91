"""A broker that passes everything on to another: what those are made from that change one thing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Self

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


class DelegatingBroker:
    """The broker that *inner* is; a subclass overrides what it does otherwise."""

    def __init__(self, inner: Broker) -> None:
        self.inner = inner

    @property
    def url(self) -> str:
        """Where the broker is, without credentials."""
        return self.inner.url

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter can do."""
        return self.inner.capabilities

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let go of every resource."""
        await self.inner.__aexit__(*exc)

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        """Check that *topics* exist, creating those that ask for it."""
        await self.inner.prepare(topics)

    def horizon(self, topics: Sequence[str], /) -> timedelta | None:
        """Tell how long after its publication an event may be handed over again."""
        return self.inner.horizon(topics)

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Return once the broker has accepted every message."""
        await self.inner.publish(messages)

    def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AbstractAsyncContextManager[Consumer]:
        """Join the group."""
        return self.inner.subscribe(subscription, listener)

    def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Read a topic from its beginning."""
        return self.inner.browse(topic, follow=follow)


class DelegatingConsumer:
    """The consumer that *inner* is; a subclass overrides what it does otherwise."""

    def __init__(self, inner: Consumer) -> None:
        self.inner = inner

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        """Wait for deliveries, at most *limit*."""
        return await self.inner.poll(limit)

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        """Say that *deliveries* need not come again."""
        self.inner.settle(deliveries)

    def stop_intake(self) -> None:
        """Take nothing more."""
        self.inner.stop_intake()

    async def flush(self) -> None:
        """Return once the broker knows what is settled."""
        await self.inner.flush()

    def progress(self) -> Sequence[Progress]:
        """Tell how far each stream is."""
        return self.inner.progress()


_: type[Broker] = DelegatingBroker
__: type[Consumer] = DelegatingConsumer

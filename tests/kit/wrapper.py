"""An adapter around MemoryBroker that changes nothing: what broken ones are made from."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
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
from choreo_memory import MemoryBroker


class WrappedConsumer:
    """A consumer that passes everything on."""

    def __init__(self, inner: Consumer) -> None:
        self.inner = inner

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        return await self.inner.poll(limit)

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        self.inner.settle(deliveries)

    def stop_intake(self) -> None:
        self.inner.stop_intake()

    async def flush(self) -> None:
        await self.inner.flush()

    def progress(self) -> Sequence[Progress]:
        return self.inner.progress()

    async def leaving(self) -> None:
        """Do what is done last, unless the client has crashed."""


class Wrapper:
    """A broker that passes everything on; subclasses say what they make of consumers and wishes."""

    Member: type[WrappedConsumer] = WrappedConsumer

    def __init__(self, url: str) -> None:
        self.inner = MemoryBroker(url)
        self.crashed = False

    def crash(self) -> None:
        """Die as by ``kill -9``."""
        self.crashed = True
        self.inner.crash()

    def wish(self, subscription: Subscription) -> Subscription:
        """Change what is subscribed to."""
        return subscription

    def ear(self, listener: Listener) -> Listener:
        """Change who listens."""
        return listener

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.inner.__aexit__(*exc)

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        await self.inner.prepare(topics)

    def horizon(self, topics: Sequence[str], /) -> timedelta | None:
        return self.inner.horizon(topics)

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.inner.publish(messages)

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[WrappedConsumer]:
        wanted, ear = self.wish(subscription), self.ear(listener)
        async with self.inner.subscribe(wanted, ear) as consumer:
            wrapped = self.Member(consumer)
            try:
                yield wrapped
            finally:
                if not self.crashed:
                    await wrapped.leaving()

    def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self.inner.browse(topic, follow=follow)


_: type[Broker] = Wrapper
__: type[Consumer] = WrappedConsumer

"""An adapter around MemoryBroker that changes nothing: what broken ones are made from."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from choreo.broker import Broker, Consumer, Listener, Subscription
from choreo.testing.delegation import DelegatingBroker, DelegatingConsumer
from choreo_memory import MemoryBroker


class WrappedConsumer(DelegatingConsumer):
    """A consumer that passes everything on."""

    async def leaving(self) -> None:
        """Do what is done last, unless the client has crashed."""


class Wrapper(DelegatingBroker):
    """A broker that passes everything on; subclasses say what they make of consumers and wishes."""

    Member: type[WrappedConsumer] = WrappedConsumer

    def __init__(self, url: str) -> None:
        self.memory = MemoryBroker(url)
        super().__init__(self.memory)
        self.crashed = False

    def crash(self) -> None:
        """Die as by ``kill -9``."""
        self.crashed = True
        self.memory.crash()

    def wish(self, subscription: Subscription) -> Subscription:
        """Change what is subscribed to."""
        return subscription

    def ear(self, listener: Listener) -> Listener:
        """Change who listens."""
        return listener

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


_: type[Broker] = Wrapper
__: type[Consumer] = WrappedConsumer

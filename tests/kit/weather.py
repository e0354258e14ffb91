"""Adapters around MemoryBroker: one whose broker can be cut off, one that can do little."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Self

from choreo.broker import Capabilities, Consumer, Listener, Notice, Subscription, TopicFilter
from choreo.errors import ConfigurationError, ConnectionLost, PublishError
from choreo.message import Delivery, Message
from tests.kit.wrapper import WrappedConsumer, Wrapper


@dataclass(eq=False)
class Sky:
    """Whether the broker can be reached."""

    up: asyncio.Event = field(default_factory=asyncio.Event)
    cuts: int = 0
    ears: list[Listener] = field(default_factory=list[Listener])

    @asynccontextmanager
    async def outage(self) -> AsyncGenerator[None]:
        """Cut every client off."""
        self.up.clear()
        self.cuts += 1
        self._tell(Notice(kind="connection_lost", text="cut off"))
        try:
            yield
        finally:
            self.up.set()
            self._tell(Notice(kind="reconnected", text="within reach"))

    def _tell(self, notice: Notice) -> None:
        for ear in self.ears:
            ear.notice(notice)


class RemoteConsumer(WrappedConsumer):
    """A consumer that hears and says nothing while the broker is away."""

    def __init__(self, inner: Consumer, sky: Sky) -> None:
        super().__init__(inner)
        self.sky = sky
        self.unsaid: list[Delivery] = []

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        await self.sky.up.wait()
        return await super().poll(limit)

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        if self.sky.up.is_set():
            super().settle([*self.unsaid, *deliveries])
            self.unsaid.clear()
        else:
            self.unsaid.extend(deliveries)

    async def flush(self) -> None:
        self.settle([])


class Remote(Wrapper):
    """An adapter whose broker can be cut off."""

    Consumer: type[RemoteConsumer] = RemoteConsumer

    def __init__(self, url: str, sky: Sky) -> None:
        super().__init__(url)
        self.sky = sky

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, tells_outages=True)

    def reach(self) -> None:
        """Raise ConnectionLost unless the broker can be reached."""
        if not self.sky.up.is_set():
            raise ConnectionLost("the broker is away")

    async def __aenter__(self) -> Self:
        self.reach()
        return await super().__aenter__()

    async def publish(self, messages: Sequence[Message], /) -> None:
        self.reach()
        await super().publish(messages)

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[RemoteConsumer]:
        self.reach()
        async with self.inner.subscribe(self.wish(subscription), listener) as consumer:
            remote = self.Consumer(consumer, self.sky)
            self.sky.ears.append(self.ear(listener))
            yield remote
            await remote.flush()


class KeylessConsumer(WrappedConsumer):
    """A consumer that knows no keys."""

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        return [replace(delivery, key=None) for delivery in await self.inner.poll(limit)]


class Humble(Wrapper):
    """An adapter of few capabilities that refuses the others."""

    Member = KeylessConsumer

    @property
    def capabilities(self) -> Capabilities:
        return replace(
            self.inner.capabilities,
            keys=False,
            groups=False,
            binary_headers=False,
            tombstones=False,
            browsable=False,
        )

    def unfit(self, message: Message) -> bool:
        """Say whether *message* needs what this adapter has not."""
        values = [value for _, value in message.headers]
        return message.body is None or any(value is None or b"\xff" in value for value in values)

    async def publish(self, messages: Sequence[Message], /) -> None:
        bad = {index: "unable" for index, message in enumerate(messages) if self.unfit(message)}
        good = [(i, message) for i, message in enumerate(messages) if i not in bad]
        try:
            await self.inner.publish([replace(m, key=b"all") for _, m in good])
        except PublishError as error:
            bad |= {good[at][0]: reason for at, reason in error.refused.items()}
        if bad:
            raise PublishError("refused", refused=bad)

    @asynccontextmanager
    async def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AsyncGenerator[AsyncGenerator[Delivery]]:
        raise ConfigurationError(f"cannot browse {topic.name}, following or not ({follow})")
        yield

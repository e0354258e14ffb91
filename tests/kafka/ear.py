"""A listener that remembers, and ways to wait for what a consumer does."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from choreo.broker import Broker, Consumer, Notice, Subscription, TopicFilter
from choreo.message import Delivery, Message

PATIENCE = 30.0


@dataclass(eq=False)
class Ear:
    """Remembers notices and revocations; does what a test wants while streams are revoked."""

    notices: list[Notice] = field(default_factory=list[Notice])
    revoked: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    gate: asyncio.Event | None = None

    async def revoking(self, streams: Collection[str], /) -> None:
        self.revoked.append(tuple(streams))
        if self.gate is not None:
            await self.gate.wait()

    def notice(self, notice: Notice, /) -> None:
        self.notices.append(notice)

    def of(self, kind: str) -> list[Notice]:
        return [notice for notice in self.notices if notice.kind == kind]


def subscription(group: str, *topics: str, **wishes: object) -> Subscription:
    """Ask for *topics*, with what a test wishes otherwise."""
    plain = Subscription(group=group, topics=tuple(TopicFilter(topic) for topic in topics))
    return type(plain)(**{"group": plain.group, "topics": plain.topics, **wishes})  # type: ignore[arg-type]


async def receive(
    consumer: Consumer, count: int, *, settle: bool = True, within: float = PATIENCE
) -> list[Delivery]:
    """Take *count* deliveries, no more."""
    got: list[Delivery] = []
    async with asyncio.timeout(within):
        while len(got) < count:
            batch = await consumer.poll(count - len(got))
            got.extend(batch)
            if settle:
                consumer.settle(batch)
    return got


async def until(condition: Callable[[], object], within: float = PATIENCE) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


async def insist(broker: Broker, messages: Sequence[Message]) -> None:
    """Publish, expecting no trouble."""
    async with asyncio.timeout(PATIENCE):
        await broker.publish(messages)


def bodies(deliveries: Sequence[Delivery]) -> list[bytes | None]:
    return [delivery.body for delivery in deliveries]

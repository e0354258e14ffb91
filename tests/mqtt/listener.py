"""A listener in a test's hands, and short ways to say what is published and received."""

import asyncio
from collections.abc import Collection, Sequence

from choreo.broker import Consumer, Notice, Subscription, TopicFilter
from choreo.message import Delivery, Message
from tests.patience import patient


class Recorder:
    """Remembers notices and revocations; a revocation lasts until *may_end* is set."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.revoked: list[tuple[str, ...]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.news = asyncio.Event()

    @property
    def kinds(self) -> Sequence[str]:
        return [notice.kind for notice in self.notices]

    async def revoking(self, streams: Collection[str], /) -> None:
        self.revoked.append(tuple(streams))
        self.news.set()
        await self.may_end.wait()

    def notice(self, notice: Notice, /) -> None:
        self.notices.append(notice)
        self.news.set()

    async def heard(self, kind: str, count: int = 1) -> None:
        """Return once *count* notices of *kind* have come."""
        async with asyncio.timeout(patient(20)):
            while self.kinds.count(kind) < count:
                self.news.clear()
                await self.news.wait()


def subscription(
    *filters: str | TopicFilter,
    group: str = "group",
    read_ahead: int = 500,
    read_ahead_bytes: int = 16 * 1024 * 1024,
    max_span: int = 10_000,
) -> Subscription:
    return Subscription(
        group=group,
        topics=tuple(TopicFilter(each) if isinstance(each, str) else each for each in filters)
        or (TopicFilter("t"),),
        read_ahead=read_ahead,
        read_ahead_bytes=read_ahead_bytes,
        max_span=max_span,
    )


async def receive(consumer: Consumer, count: int) -> list[Delivery]:
    """Take exactly *count* deliveries."""
    got: list[Delivery] = []
    async with asyncio.timeout(patient(20)):
        while len(got) < count:
            got.extend(await consumer.poll(count - len(got)))
    return got


def numbered(topic: str, count: int, *, size: int = 0) -> list[Message]:
    return [Message(topic, b"%d" % number + b"." * size) for number in range(count)]


def numbers(deliveries: Sequence[Delivery]) -> list[int]:
    return [int((each.body or b"").rstrip(b".")) for each in deliveries]

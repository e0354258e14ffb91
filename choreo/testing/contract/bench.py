"""The contract's tools: a publisher, fresh topics, members of groups, and bounded waits."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, NoReturn
from unittest import SkipTest

from choreo.broker import Broker, Consumer, Notice, Subscription, TopicFilter, TopicSpec
from choreo.message import Delivery, Message
from choreo.testing.contract.setup import BrokerSetup

KEYS = tuple(b"key-%d" % number for number in range(8))
PARTITIONS = 4
END = b"end of "


def check(condition: object, text: str) -> None:
    """Fail with *text* unless *condition* holds; unlike assert, under ``python -O`` too."""
    if not condition:
        raise AssertionError(text)


def fail(text: str) -> NoReturn:
    """Fail with *text*."""
    raise AssertionError(text)


def same(got: object, expected: object, what: str) -> None:
    """Fail unless *got* equals *expected*."""
    check(got == expected, f"{what}: got {got!r}, expected {expected!r}")


def need(condition: object, what: str) -> None:
    """Skip the test unless *condition* holds."""
    if not condition:
        raise SkipTest(what)


def numbers(deliveries: Iterable[Delivery]) -> list[int]:
    """Read the numbers that ``Bench.publish`` wrote, in order of arrival."""
    return [int(delivery.body or b"-1") for delivery in deliveries]


def in_key_order(deliveries: Iterable[Delivery], *, keys: bool) -> None:
    """Fail unless numbers only grow within each key; within each topic where there are none."""
    last: dict[object, int] = defaultdict(lambda: -1)
    for delivery in deliveries:
        lane = delivery.key if keys else delivery.topic
        number = int(delivery.body or b"-1")
        check(number > last[lane], f"{number} came after {last[lane]} of the same key")
        last[lane] = number


async def soon(seconds: float, condition: Callable[[], object], what: str) -> None:
    """Wait until *condition* holds; fail if it does not within *seconds*."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 -- the broker under test sets no event
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds} s") from None


async def within(seconds: float, awaitable: Awaitable[object], what: str) -> None:
    """Await *awaitable*; fail if it takes longer than *seconds*."""
    try:
        async with asyncio.timeout(seconds):
            await awaitable
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds} s") from None


@dataclass(eq=False)
class Recorder:
    """A listener that remembers what it was told."""

    notices: list[Notice] = field(default_factory=list[Notice])
    revoked: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    on_revoking: Callable[[], Awaitable[object]] | None = None

    async def revoking(self, streams: Collection[str], /) -> None:
        """Remember *streams*; do what the test wants done."""
        self.revoked.append(tuple(streams))
        if self.on_revoking is not None:
            await self.on_revoking()

    def notice(self, notice: Notice, /) -> None:
        """Remember *notice*."""
        self.notices.append(notice)


@dataclass(frozen=True, eq=False)
class Member:
    """A consumer in the contract's hands."""

    broker: Broker
    consumer: Consumer
    recorder: Recorder
    patience: float

    async def receive(self, count: int) -> list[Delivery]:
        """Take exactly *count* deliveries."""
        return await self.collect(lambda got: count - len(got), f"{count} deliveries")

    async def collect(
        self, missing: Callable[[list[Delivery]], int], what: str, *, settle: bool = False
    ) -> list[Delivery]:
        """Poll until nothing is *missing*, asking for no more than that at a time."""
        got: list[Delivery] = []
        try:
            async with asyncio.timeout(self.patience):
                while (limit := missing(got)) > 0:
                    batch = await self.consumer.poll(limit)
                    check(batch, "poll returned nothing although the intake was not stopped")
                    check(len(batch) <= limit, f"asked for {limit}, got {len(batch)}")
                    got.extend(batch)
                    if settle:
                        self.consumer.settle(batch)
        except TimeoutError:
            bodies = [(delivery.body or b"")[:20] for delivery in got[-50:]]
            raise AssertionError(
                f"{what}: not within {self.patience} s; {len(got)} came, at last {bodies}"
            ) from None
        return got

    async def pump(self, into: list[Delivery], *, settle: bool = True) -> None:
        """Move all that comes *into* a list until the intake is stopped."""
        while batch := await self.consumer.poll(100):
            into.extend(batch)
            if settle:
                self.consumer.settle(batch)


class Bench:
    """One fresh topic and one fresh group on the broker under test."""

    def __init__(self, setup: BrokerSetup, broker: Broker, topic: str) -> None:
        self.setup = setup
        self.broker = broker
        self.topic = topic
        self.group = setup.name()
        self.keys = broker.capabilities.keys
        self._ends = 0

    def message(self, number: int, key: bytes | None = None) -> Message:
        """Make the message *number*; its key goes by the number unless one is given."""
        chosen = (key or KEYS[number % len(KEYS)]) if self.keys else None
        return Message(self.topic, b"%d" % number, chosen, (("n", b"%d" % number),))

    async def publish(self, wanted: Iterable[int], key: bytes | None = None) -> None:
        """Publish one message for each number, in one call."""
        await self.broker.publish([self.message(number, key) for number in wanted])

    @asynccontextmanager
    async def join(
        self,
        *,
        group: str | None = None,
        topics: Sequence[TopicFilter] = (),
        start: Literal["earliest", "latest"] = "earliest",
        on_revoking: Callable[[], Awaitable[object]] | None = None,
        wish: Callable[[Subscription], Subscription] = lambda plain: plain,
    ) -> AsyncGenerator[Member]:
        """Open one more client and join the group with it; *wish* may change the subscription."""
        recorder = Recorder(on_revoking=on_revoking)
        subscription = Subscription(
            group=group or self.group,
            topics=tuple(topics) or (TopicFilter(self.topic),),
            start=start,
            drain=self.setup.drain,
        )
        async with (
            self.setup.open() as client,
            client.subscribe(wish(subscription), recorder) as consumer,
        ):
            yield Member(client, consumer, recorder, self.setup.patience)

    async def crash(self, member: Member) -> None:
        """Kill the member's client, where that can be done; elsewhere it will leave."""
        if self.setup.crash is not None:
            await self.setup.crash(member.broker)

    async def rest(self, member: Member, *, settle: bool = False) -> list[Delivery]:
        """Take all there is, proven by marks that are published now and must come after it."""
        marks = await self.mark()

        def missing(got: list[Delivery]) -> int:
            return 100 * len(marks - {delivery.body for delivery in got})

        got = await member.collect(missing, "the rest", settle=settle)
        return [d for d in got if not (d.body or b"").startswith(END)]

    async def mark(self) -> set[bytes | None]:
        """Publish one mark behind all that was published, in every stream that was used."""
        self._ends += 1
        keys: Sequence[bytes | None] = KEYS if self.keys else (None,)
        marks = [
            Message(self.topic, END + b"%d/%d" % (self._ends, index), key)
            for index, key in enumerate(keys)
        ]
        await self.broker.publish(marks)
        return {mark.body for mark in marks}

    def may_return(self, got: Iterable[Delivery], unsettled: Collection[int]) -> set[int]:
        """Say which numbers may come again when *unsettled* ones of *got* were not settled."""
        if self.setup.exact:
            return set(unsettled)
        got = list(got)
        oldest: dict[str, int] = {}
        for delivery in got:
            if int(delivery.body or b"-1") in unsettled:
                oldest.setdefault(delivery.stream, delivery.position)
        return {
            int(d.body or b"-1") for d in got if d.position >= oldest.get(d.stream, d.position + 1)
        }


@asynccontextmanager
async def bench(setup: BrokerSetup) -> AsyncGenerator[Bench]:
    """Open a client for publishing and make a topic ready."""
    async with setup.open() as broker:
        topic = setup.name()
        partitions = PARTITIONS if broker.capabilities.keys else None
        await broker.prepare([TopicSpec(name=topic, partitions=partitions, create=True)])
        yield Bench(setup, broker, topic)


@asynccontextmanager
async def pumping(*members: Member, settle: bool = True) -> AsyncGenerator[list[list[Delivery]]]:
    """Take all that comes to each of *members*, each into its own list, while inside."""
    taken: list[list[Delivery]] = [[] for _ in members]
    async with asyncio.TaskGroup() as tasks:
        for member, into in zip(members, taken, strict=True):
            tasks.create_task(member.pump(into, settle=settle), name="pump")
        try:
            yield taken
        finally:
            for member in members:
                member.consumer.stop_intake()

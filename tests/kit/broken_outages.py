"""Adapters that are each wrong about outages in one way, and the tests that must tell."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

from choreo.broker import Capabilities, Consumer, Listener, Notice, Subscription
from choreo.errors import ConnectionLost
from choreo.message import Delivery, Message
from choreo_memory import MemoryBroker
from tests.kit.weather import Remote, RemoteConsumer, Sky


class AcceptsIntoTheVoid(Remote):
    """Reports success although nothing was sent (M14, M15)."""

    caught_by = ("test_publishing_without_a_broker_fails_and_works_again_afterwards",)

    async def publish(self, messages: Sequence[Message], /) -> None:
        if self.sky.up.is_set():
            await super().publish(messages)


class HangsWhileAway(Remote):
    """Waits for the broker for ever, on every call (P3, K20)."""

    caught_by = (
        "test_publishing_without_a_broker_fails_and_works_again_afterwards",
        "test_opening_without_a_broker_says_so",
        "test_opening_where_nobody_listens_says_so",
    )

    def reach(self) -> None:
        """Find everything in order."""

    async def publish(self, messages: Sequence[Message], /) -> None:
        await self.sky.up.wait()
        await super().publish(messages)


class RememberingConsumer(RemoteConsumer):
    """A consumer that knows from which connection each delivery came."""

    def __init__(self, inner: Consumer, sky: Sky) -> None:
        super().__init__(inner, sky)
        self.connections: dict[tuple[str, int], int] = {}
        self.newest: list[Delivery] = []

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        got = await super().poll(limit)
        for delivery in got:
            self.connections[delivery.stream, delivery.position] = self.sky.cuts
        self.newest.extend(got)
        return got

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        for delivery in deliveries:
            came = self.connections[delivery.stream, delivery.position]
            super().settle([delivery if came == self.sky.cuts else self.newest.pop()])


class AcksTheNextConnection(Remote):
    """Takes the settlement of an earlier connection's delivery for one of the present (M3)."""

    caught_by = ("test_settling_across_a_reconnection_settles_nothing_else",)
    Consumer = RememberingConsumer


class MortalConsumer(RemoteConsumer):
    """A consumer that does not outlive its connection."""

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        if self.sky.cuts:
            await asyncio.Event().wait()
        return await super().poll(limit)


class NeverComesBack(Remote):
    """Hears nothing any more once the connection was lost (K18, M17)."""

    caught_by = (
        "test_a_consumer_outlives_an_outage",
        "test_a_consumer_outlives_a_restart_of_the_broker",
    )
    Consumer = MortalConsumer


class ForgetsTheGroup(Remote):
    """Begins anew after an outage, as if nothing had been left unsettled (M8)."""

    caught_by = ("test_a_consumer_outlives_an_outage",)

    def wish(self, subscription: Subscription) -> Subscription:
        return replace(subscription, group=f"{subscription.group}-{self.sky.cuts}", start="latest")


@dataclass(frozen=True)
class Hushed:
    """A listener between, that keeps some of what is noticed to itself."""

    owner: Listener
    kept: str

    async def revoking(self, streams: Collection[str], /) -> None:
        await self.owner.revoking(streams)

    def notice(self, notice: Notice, /) -> None:
        if notice.kind != self.kept:
            self.owner.notice(notice)


class HushesOutages(Remote):
    """Says that it tells of outages, and does not."""

    caught_by = ("test_an_outage_is_told_and_so_is_its_end",)

    def ear(self, listener: Listener) -> Listener:
        return Hushed(listener, "connection_lost")


class HushesReturns(Remote):
    """Tells of outages, and of no end of one."""

    caught_by = ("test_an_outage_is_told_and_so_is_its_end",)

    def ear(self, listener: Listener) -> Listener:
        return Hushed(listener, "reconnected")


class StubbornConsumer(RemoteConsumer):
    """A consumer that insists on telling the broker."""

    async def flush(self) -> None:
        await self.sky.up.wait()
        await super().flush()


class WaitsToLeave(Remote):
    """Does not leave before the broker knows (K20)."""

    caught_by = ("test_leaving_without_a_broker_is_bounded",)
    Consumer = StubbornConsumer


class ForgetsWhatItPromised(ForgetsTheGroup):
    """Calls itself durable."""

    caught_by = ("test_what_was_accepted_survives_a_restart_of_the_broker",)

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, durable=True)


class LeavesHalfAMember(Remote):
    """Joins the group although the way back is cut, and stays in it unheard."""

    caught_by = ("test_a_subscription_begun_without_a_broker_works_or_says_so",)
    ghosts: ClassVar[list[object]] = []

    def reach(self) -> None:
        """Find out too late."""

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[RemoteConsumer]:
        if not self.sky.up.is_set():
            ghost = MemoryBroker(self.inner.url + "?max_message_bytes=1500000")
            joined = (await ghost.__aenter__()).subscribe(subscription, listener)
            self.ghosts.append((await joined.__aenter__(), joined))
            raise ConnectionLost("the broker is away")
        async with super().subscribe(subscription, listener) as consumer:
            yield consumer

"""The simulated broker: a log with consumer groups, as seen by the processes of one world."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Self

from choreo.broker import (
    Binding,
    Broker,
    Capabilities,
    Consumer,
    Listener,
    Subscription,
    TopicFilter,
    TopicSpec,
)
from choreo.errors import ConnectionLost, PublishError
from choreo.message import Delivery, Message
from choreo.testing.simulation.consumer import SimulatedConsumer
from choreo.testing.simulation.group import Group, Member, Order
from choreo.testing.simulation.history import History, reads
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.log import Channel, Log, Partition
from choreo.testing.simulation.sessions import Sessions
from choreo.testing.simulation.subscriber import SimulatedSubscriber
from choreo.testing.simulation.weather import Weather
from choreo.testing.simulation.wire import Conditions, Server, Wire

URL = "simulated://"
NOTICED = 0.5
"""Seconds after which a client notices that it has lost its broker, or found it, at most."""


KAFKA = Capabilities(
    binding=Binding.KAFKA,
    system="simulated",
    keys=True,
    durable=True,
    resumes=True,
    groups=True,
    binary_headers=True,
    tombstones=True,
    topic_levels=False,
    retained=False,
    browsable=True,
    tells_outages=True,
)
MQTT = Capabilities(
    binding=Binding.MQTT,
    system="simulated",
    keys=False,
    durable=True,
    resumes=True,
    groups=False,
    binary_headers=False,
    tombstones=False,
    topic_levels=True,
    retained=True,
    browsable=False,
    remembers=False,
    tells_outages=True,
)


class Cluster:
    """The broker itself: it outlives every process."""

    def __init__(self, conditions: Conditions, history: History, weather: Weather) -> None:
        self.weather = weather
        self.mqtt = weather.transport == "mqtt"
        self.log = (
            Channel(conditions, history)
            if self.mqtt
            else Log(conditions, history, weather.partitions)
        )
        self.groups: dict[str, Group] = {}
        failed = ConnectionLost
        self.publishing = Server(conditions, failed, counts="", doubts="", line=True)
        self.committing = Server(conditions, failed, counts="uncommitted", doubts="", line=True)
        self._conditions = conditions
        self._history = history
        self._epochs = count(1)
        self.sessions = Sessions(conditions, history, weather, self._epochs)
        self.log.heard.append(self.sessions.take if self.mqtt else self._heard)

    @property
    def down(self) -> bool:
        """Say whether it answers nobody."""
        return self.publishing.down

    @down.setter
    def down(self, down: bool) -> None:
        self.publishing.down = self.committing.down = down
        if down:
            self.sessions.cut()
        for group in self.groups.values():
            for member in group.members:
                self._tell(member, found=not down)

    @property
    def idle(self) -> bool:
        """Say whether every group has settled everything, and nothing more is to come."""
        lag = any(group.lag() for group in self.groups.values())
        return not self.log.underway and not lag and self.sessions.idle

    def group(self, name: str) -> Group:
        """Find a group, made if need be."""
        if name not in self.groups:
            self.groups[name] = Group(name, self.log, self._conditions, self._history, self._epochs)
        return self.groups[name]

    def silent(self, host: Host) -> None:
        """Have every group wait for *host* no longer than a session lasts."""
        self.sessions.silent(host)
        for group in self.groups.values():
            group.silent(host)

    def cut_off(self, host: Host) -> None:
        """Have *host* reach nothing here, which it notices after a moment, until it is mended."""
        host.cut_off()
        self.sessions.evict(host, NOTICED * self._conditions.chance("cut"))
        self._tell_all(host, found=False)
        self.silent(host)

    def mend(self, host: Host) -> None:
        """Have *host* reach everything again."""
        host.mended()
        self._tell_all(host, found=True)

    def _tell_all(self, host: Host, *, found: bool) -> None:
        for group in self.groups.values():
            for member in group.members:
                if member.host is host:
                    self._tell(member, found=found)

    def _tell(self, member: Member, *, found: bool) -> None:
        moment = NOTICED * self._conditions.chance("cut")
        what: Order = "found" if found else "lost"
        self._conditions.later(moment, lambda: member.order(what, 0, {}))

    def evict(self, host: Host, unheard: float) -> None:
        """Take everything from *host*, which hears of it after a while."""
        self.sessions.evict(host, unheard)
        for group in self.groups.values():
            group.evict(host, unheard)

    def disband(self, unheard: float) -> None:
        """Leave every group without a member, for as long as none has heard of it."""
        for group in self.groups.values():
            group.disband(unheard)

    def rebalance(self) -> None:
        """Deal all streams anew, and close every connection."""
        self.sessions.cut()
        for group in self.groups.values():
            group.rebalance()

    def _heard(self, message: Message) -> None:
        for group in self.groups.values():
            if message.topic in group.topics:
                for member in group.members:
                    member.wake()


class SimulatedBroker:
    """One process's client of the cluster."""

    def __init__(self, cluster: Cluster, host: Host) -> None:
        self._cluster = cluster
        self._host = host
        self._publishing = Wire(host, cluster.publishing)
        self._committing = Wire(host, cluster.committing)

    @property
    def url(self) -> str:
        """A name without a place."""
        return URL

    @property
    def capabilities(self) -> Capabilities:
        """As a Kafka's, which may or may not remember what was settled out of order; or MQTT's."""
        if self._cluster.mqtt:
            return MQTT
        return replace(KAFKA, remembers=self._cluster.weather.remembers)

    async def __aenter__(self) -> Self:
        """Connect; raise ConnectionLost while nothing answers."""
        await self._publishing.call(_nothing)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Hold nothing."""

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        """Create what is missing."""
        if self._cluster.mqtt:
            return
        for spec in topics:
            self._cluster.log.topic(spec.name, spec.partitions)

    def horizon(self, topics: Sequence[str], /) -> timedelta | None:  # noqa: ARG002 -- the same for all
        """Keep everything for as long as the world lasts."""
        return timedelta.max

    async def publish(self, messages: Sequence[Message], /) -> None:
        """Have *messages* kept; raise PublishError for those that are not, or may not be."""
        sent = tuple(messages)
        try:
            await self._publishing.call(lambda: self._cluster.log.take(sent))
        except ConnectionLost as error:
            unknown = dict.fromkeys(range(len(sent)), str(error))
            raise PublishError(str(error), unknown=unknown) from error

    @asynccontextmanager
    async def subscribe(
        self, subscription: Subscription, listener: Listener, /
    ) -> AsyncGenerator[Consumer]:
        """Join the group, or resume its session; on leaving, drop what is unsettled."""
        if self._cluster.mqtt:
            async with self._resumed(subscription, listener) as subscriber:
                yield subscriber
            return
        group = self._cluster.group(subscription.group)
        consumer = SimulatedConsumer(
            subscription,
            listener,
            self._host,
            group,
            self._committing,
            self._cluster.weather,
        )
        attending = asyncio.get_running_loop().create_task(
            consumer.attend(), name=f"simulated consumer {subscription.group}"
        )
        group.join(consumer)
        try:
            yield consumer
        finally:
            attending.cancel()
            await asyncio.wait({attending})
            await consumer.leave()

    @asynccontextmanager
    async def _resumed(
        self, subscription: Subscription, listener: Listener
    ) -> AsyncGenerator[Consumer]:
        subscriber = SimulatedSubscriber(
            subscription, listener, self._host, self._cluster.sessions, self._committing
        )
        await subscriber.connect()
        attending = asyncio.get_running_loop().create_task(
            subscriber.attend(), name=f"simulated subscriber {subscription.group}"
        )
        try:
            yield subscriber
        finally:
            attending.cancel()
            await asyncio.wait({attending})
            await subscriber.leave()

    @asynccontextmanager
    async def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """Read what a topic holds; *follow* is not simulated."""
        if follow:
            raise NotImplementedError("a simulated broker is browsed to its present end")
        if self._cluster.mqtt:
            yield _kept(self._cluster.sessions.retained, topic.name)
            return
        partitions = [(one, one.end) for one in self._cluster.log.topic(topic.name)]
        yield _read([] if topic.fresh else partitions)


async def _read(partitions: Sequence[tuple[Partition, int]]) -> AsyncIterator[Delivery]:
    for partition, end in partitions:
        for position in range(end):
            yield partition.delivery(position, 0)


async def _kept(retained: Mapping[str, Message], name: str) -> AsyncIterator[Delivery]:
    for topic, message in list(retained.items()):
        if reads(name, topic):
            yield Delivery(topic, message.body, None, message.headers, retain=True)


async def _nothing() -> None:
    return


_: type[Broker] = SimulatedBroker

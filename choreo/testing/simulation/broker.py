"""The simulated broker: a log with consumer groups, as seen by the processes of one world."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Self

from choreo.broker import (
    Binding,
    Broker,
    Capabilities,
    Listener,
    Subscription,
    TopicFilter,
    TopicSpec,
)
from choreo.errors import ConnectionLost, PublishError
from choreo.message import Delivery, Message
from choreo.testing.simulation.consumer import SimulatedConsumer
from choreo.testing.simulation.group import Group
from choreo.testing.simulation.history import History
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.log import Log, Partition
from choreo.testing.simulation.weather import Weather
from choreo.testing.simulation.wire import Conditions, Server, Wire

URL = "simulated://"


class Cluster:
    """The broker itself: it outlives every process."""

    def __init__(self, conditions: Conditions, history: History, weather: Weather) -> None:
        self.weather = weather
        self.log = Log(conditions, history, weather.partitions)
        self.groups: dict[str, Group] = {}
        self.publishing = Server(conditions, ConnectionLost, counts="", doubts="")
        self.committing = Server(conditions, ConnectionLost, counts="uncommitted", doubts="")
        self._conditions = conditions
        self._history = history
        self._epochs = count(1)
        self.log.heard.append(self._heard)

    @property
    def down(self) -> bool:
        """Say whether it answers nobody."""
        return self.publishing.down

    @down.setter
    def down(self, down: bool) -> None:
        self.publishing.down = self.committing.down = down

    @property
    def idle(self) -> bool:
        """Say whether every group has settled everything, and nothing more is to come."""
        return not self.log.underway and not any(group.lag() for group in self.groups.values())

    def group(self, name: str) -> Group:
        """Find a group, made if need be."""
        if name not in self.groups:
            self.groups[name] = Group(name, self.log, self._conditions, self._history, self._epochs)
        return self.groups[name]

    def silent(self, host: Host) -> None:
        """Have every group wait for *host* no longer than a session lasts."""
        for group in self.groups.values():
            group.silent(host)

    def _heard(self, message: Message, _: Partition) -> None:
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
        """As a Kafka's, which may or may not remember what was settled out of order."""
        return Capabilities(
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
            remembers=self._cluster.weather.remembers,
        )

    async def __aenter__(self) -> Self:
        """Connect; raise ConnectionLost while nothing answers."""
        await self._publishing.call(_nothing)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Hold nothing."""

    async def prepare(self, topics: Sequence[TopicSpec], /) -> None:
        """Create what is missing."""
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
    ) -> AsyncGenerator[SimulatedConsumer]:
        """Join the group; on leaving, drop what is unsettled."""
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
    async def browse(
        self, topic: TopicFilter, /, *, follow: bool = False
    ) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """Read what a topic holds; *follow* is not simulated."""
        if follow:
            raise NotImplementedError("a simulated broker is browsed to its present end")
        partitions = [(one, one.end) for one in self._cluster.log.topic(topic.name)]
        yield _read([] if topic.fresh else partitions)


async def _read(partitions: Sequence[tuple[Partition, int]]) -> AsyncIterator[Delivery]:
    for partition, end in partitions:
        for position in range(end):
            yield partition.delivery(position, 0)


async def _nothing() -> None:
    return


_: type[Broker] = SimulatedBroker

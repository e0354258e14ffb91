"""A member of a group of the simulated broker: what an adapter does on a host's side.

It is told to give up streams, and to take up others, by its coordinator; it commits in the
background.  All of it runs on its host: a paused host gives nothing up, and a dead one commits
nothing any more.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from choreo.broker import Consumer, Listener, Notice, Progress, Subscription
from choreo.delivery.contact import Contact
from choreo.delivery.watermark import Finished, Watermark
from choreo.errors import BrokerError
from choreo.failpoints import reached
from choreo.message import Delivery
from choreo.testing.simulation.group import Group, Order, Place
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.log import Partition
from choreo.testing.simulation.weather import Weather
from choreo.testing.simulation.wire import Wire

FETCH = 0.05
"""Seconds that a poll takes, at most."""
AGAIN = 0.2
"""Seconds after which a commit that failed is tried again."""
METADATA = 4096
FLUSH = 6.0
"""Seconds that leaving waits for the last commit."""


@dataclass(slots=True)
class Reader:
    """One stream that is assigned now."""

    partition: Partition
    epoch: int
    watermark: Watermark
    inherited: Finished
    next: int

    def take(self, limit: int, max_span: int, batch: list[Delivery]) -> None:
        """Add to *batch* what comes next, so that it holds *limit* at most."""
        while len(batch) < limit and self.next < self.partition.end:
            if self.next - self.watermark.position >= max_span:
                return
            if self.next in self.inherited:
                self.watermark.skip_to(self.next + 1)
            else:
                self.watermark.take(self.next)
                batch.append(self.partition.delivery(self.next, self.epoch))
            self.next += 1


class SimulatedConsumer:
    """One member."""

    def __init__(
        self,
        subscription: Subscription,
        listener: Listener,
        host: Host,
        group: Group,
        wire: Wire,
        weather: Weather,
    ) -> None:
        self.host = host
        self.topics = tuple(topic.name for topic in subscription.topics)
        self._subscription = subscription
        self._listener = listener
        self._group = group
        self._wire = wire
        self._weather = weather
        self._readers: dict[str, Reader] = {}
        self._orders: deque[tuple[Order, int, dict[str, tuple[Partition, Place]]]] = deque()
        self._ordered = asyncio.Event()
        self._more: asyncio.Future[None] | None = None
        self._stopped = False
        self._giving_up = False
        self._committing = asyncio.Lock()
        self._commits: set[asyncio.Task[None]] = set()
        self._dirty = False
        self._contact = Contact(self._tell_contact)

    # the port

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        """Wait for deliveries and hand over at least one and at most *limit* of them."""
        await asyncio.sleep(self.host.random.random() * FETCH)
        while not self._stopped:
            batch: list[Delivery] = []
            if not self._giving_up and self._wire.open:
                readers = list(self._readers.values())
                self.host.random.shuffle(readers)  # no order holds between streams
                for reader in readers:
                    some = self.host.random.randint(1, limit)
                    most = min(limit, len(batch) + some)
                    reader.take(most, self._subscription.max_span, batch)
            if batch:
                return batch
            self._more = asyncio.get_running_loop().create_future()
            try:
                await self._more
            finally:
                self._more = None
        return ()

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        """Note what is done; what is of an older epoch changes nothing."""
        for delivery in deliveries:
            reader = self._readers.get(delivery.stream)
            if reader is not None and reader.epoch == delivery.epoch:
                reader.watermark.finish(delivery.position)
        if not self._dirty:
            self._dirty = True
            delay = self.host.random.random() * self._weather.commit
            asyncio.get_running_loop().call_later(delay, self._begin_commit)
        self.wake()

    def stop_intake(self) -> None:
        """Hand over nothing more."""
        self._stopped = True
        self.wake()

    async def flush(self) -> None:
        """Tell the broker of everything settled so far."""
        try:
            await self._commit()
        except BrokerError as error:
            self._listener.notice(Notice(kind="commit_failed", text=str(error)))

    def progress(self) -> Sequence[Progress]:
        """Say where each stream stands."""
        return [
            Progress(
                stream=name,
                settled=reader.watermark.position,
                handed=reader.next,
                end=reader.partition.end,
            )
            for name, reader in self._readers.items()
        ]

    # the coordinator's side

    def order(self, what: Order, epoch: int, places: dict[str, tuple[Partition, Place]], /) -> None:
        """Hear what is to be done next."""
        self._orders.append((what, epoch, places))
        self._ordered.set()

    def wake(self) -> None:
        """Hear that there may be more to read."""
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def attend(self) -> None:
        """Do what is ordered, until cancelled."""
        while True:
            await self._ordered.wait()
            if not self._orders:
                self._ordered.clear()
                continue
            what, epoch, places = self._orders.popleft()
            if what == "assign":
                self._assign(epoch, places)
            elif what in ("lost", "found"):
                self._look_at_wire()
            else:
                await self._give_up(finish=what == "revoke")
                if what == "revoke":
                    self._group.revoked(self)
                else:
                    await self._joinable()
                    self._group.join(self)

    async def leave(self) -> None:
        """Commit what is settled, if the broker answers in time, and let everything go."""
        self._stopped = True
        try:
            async with asyncio.timeout(FLUSH):
                await self.flush()
        except TimeoutError:
            pass
        self._readers = {}
        self._group.leave(self)

    def _look_at_wire(self) -> None:
        if self._wire.open:
            self._contact.found()
            self.wake()
        else:
            self._contact.lost("nothing is answered", 0.0)

    async def _joinable(self) -> None:
        while not self._wire.open:  # noqa: ASYNC110 -- virtual time
            await asyncio.sleep(AGAIN)
        self._look_at_wire()

    def _assign(self, epoch: int, places: dict[str, tuple[Partition, Place]]) -> None:
        self._readers = {}
        for stream, (partition, (position, metadata)) in places.items():
            inherited = Finished.decode(position, metadata)
            watermark = Watermark(position, inherited)
            self._readers[stream] = Reader(partition, epoch, watermark, inherited, position)
        self._tell("assigned", tuple(places))
        self._contact.begun()
        self._look_at_wire()

    async def _give_up(self, *, finish: bool) -> None:
        """Let the owner finish; commit that if there is still time for it."""
        streams = tuple(self._readers)
        self._giving_up = True
        try:
            async with asyncio.timeout(self._subscription.drain.total_seconds()):
                await self._listener.revoking(streams)
        except TimeoutError:
            pass
        if finish:
            await self.flush()
        self._readers = {}
        self._giving_up = False
        self._tell("revoked", streams)

    def _tell_contact(
        self, kind: Literal["connection_lost", "reconnected"], text: str, unheard: float, /
    ) -> None:
        self._listener.notice(Notice(kind=kind, text=text, unheard=unheard))

    def _tell(self, kind: Literal["assigned", "revoked"], streams: tuple[str, ...]) -> None:
        text = f"{len(streams)} streams {kind}"
        self._listener.notice(Notice(kind=kind, text=text, streams=streams))

    # committing

    def _begin_commit(self) -> None:
        task = asyncio.get_running_loop().create_task(self.flush(), name="simulated commit")
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)

    async def _commit(self) -> None:
        async with self._committing:
            self._dirty = False
            places = {stream: self._place(reader) for stream, reader in self._readers.items()}
            epochs = {reader.epoch for reader in self._readers.values()}
            if not places:
                return
            generation = self._generation(epochs.pop())
            try:
                reached("acknowledging")
                await self._wire.call(lambda: self._group.commit(self, generation, places))
                reached("acknowledged")
            except BrokerError:
                if not self._stopped and not self._dirty:
                    self._dirty = True
                    asyncio.get_running_loop().call_later(AGAIN, self._begin_commit)
                raise

    def _generation(self, handled: int) -> int:
        """Name the generation in which all that is committed was *handled*, over or not (K10)."""
        return handled

    def _place(self, reader: Reader) -> Place:
        watermark = reader.watermark
        metadata = watermark.metadata(METADATA)[0] if self._weather.remembers else ""
        return (watermark.position, metadata)


_: type[Consumer] = SimulatedConsumer

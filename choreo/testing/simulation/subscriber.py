"""A client of the simulated MQTT broker: what an adapter does on a host's side.

Acknowledgements go out in the order of receipt, and only on the connection on which their messages
came.  When that is lost, what is unsettled is void: it comes again, and nothing of it is handed
over before the listener has ended what it has.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Literal

from choreo.broker import Consumer, Listener, Notice, Progress, Subscription
from choreo.delivery.contact import Contact
from choreo.delivery.watermark import Watermark
from choreo.errors import BrokerError
from choreo.failpoints import reached
from choreo.message import Delivery, Message
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.sessions import Client, Sessions
from choreo.testing.simulation.wire import Wire

SOON = 0.05
"""Seconds from a settlement to its acknowledgement, at most."""
AGAIN = 0.3
"""Seconds after which a connection is tried again."""
FLUSH = 6.0
"""Seconds that leaving waits for the last acknowledgements."""


class SimulatedSubscriber:
    """One subscription, over as many connections as it takes."""

    def __init__(
        self,
        subscription: Subscription,
        listener: Listener,
        host: Host,
        sessions: Sessions,
        wire: Wire,
    ) -> None:
        self.host = host
        self._subscription = subscription
        self._listener = listener
        self._sessions = sessions
        self._wire = wire
        self._stream = f"mqtt/{subscription.group}"
        self._epoch = 0
        """The connection that is up; 0 for none."""
        self._ended = 0
        """The last connection of which it is known that it is gone."""
        self._lost = asyncio.Event()
        self._inbox: deque[tuple[int, int, Message]] = deque()
        self._buffer: deque[Delivery] = deque()
        self._mids: deque[int] = deque()
        self._watermark = Watermark(0)
        self._sent = self._handed = 0
        self._acknowledging = asyncio.Lock()
        self._due = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._more: asyncio.Future[None] | None = None
        self._revoking = self._stopped = False
        self._contact = Contact(self._tell_contact)

    # the port

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        """Wait for deliveries and hand over at least one and at most *limit* of them."""
        while not self._stopped:
            self._read()
            room = self._subscription.max_span - (self._handed - self._watermark.position)
            if self._buffer and room > 0 and not self._revoking:
                most = min(limit, room, len(self._buffer), self.host.random.randint(1, limit))
                batch = [self._buffer.popleft() for _ in range(most)]
                self._handed = batch[-1].position + 1
                return batch
            self._more = asyncio.get_running_loop().create_future()
            try:
                await self._more
            finally:
                self._more = None
        return ()

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        """Note what is done; what is of an earlier connection is void."""
        for delivery in deliveries:
            if delivery.epoch == self._epoch:
                self._watermark.finish(delivery.position)
        if not self._due:
            self._due = True
            delay = self.host.random.random() * SOON
            asyncio.get_running_loop().call_later(delay, self._acknowledge_soon)
        self.wake()

    def stop_intake(self) -> None:
        """Hand over nothing more."""
        self._stopped = True
        self.wake()

    async def flush(self) -> None:
        """Send every acknowledgement that is due."""
        async with self._acknowledging:
            self._due = False
            epoch, count = self._epoch, self._watermark.position - self._sent
            if not epoch or not count:
                return
            mids = [self._mids.popleft() for _ in range(count)]
            self._sent += count
            group = self._subscription.group
            reached("acknowledging")
            try:
                await self._wire.call(lambda: self._sessions.acknowledge(group, epoch, mids))
            except BrokerError:
                self.cut(epoch)  # what is not acknowledged for certain comes again
                self._sessions.detach(self)
            reached("acknowledged")

    def progress(self) -> Sequence[Progress]:
        """Say where the stream stands."""
        settled = self._watermark.position
        handed = max(settled, self._handed)
        return [Progress(stream=self._stream, settled=settled, handed=handed, end=None)]

    # the broker's side

    def arrived(self, epoch: int, mid: int, message: Message, /) -> None:
        """Be sent a message."""
        self._inbox.append((epoch, mid, message))
        self.wake()

    def cut(self, epoch: int, /) -> None:
        """Hear that a connection is gone."""
        self._ended = max(self._ended, epoch)
        self._lost.set()

    def wake(self) -> None:
        """Hear that there may be more to read."""
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    # connections

    async def connect(self) -> bool:
        """Connect; say whether there was a session. Raises BrokerError while nothing answers."""
        group, topics = self._subscription.group, self._subscription.topics
        attach = self._sessions.attach
        present, epoch = await self._wire.call(lambda: attach(self, group, topics))
        self._epoch = epoch
        self.wake()
        self._contact.begun()
        return present

    async def attend(self) -> None:
        """Connect again whenever the connection is lost, until cancelled."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            if self._ended < self._epoch or self._stopped:
                continue
            self._void()
            while not await self._connected_again():  # noqa: ASYNC110 -- virtual time
                await asyncio.sleep(AGAIN)

    async def leave(self) -> None:
        """Acknowledge what is settled, if the broker answers in time; the session stays."""
        self._stopped = True
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH):
                await self.flush()
        for task in self._tasks:
            task.cancel()
        self._epoch = 0
        self._sessions.detach(self)

    async def _connected_again(self) -> bool:
        try:
            present = await self.connect()
        except BrokerError:
            return False
        if not present:
            self._tell("session_lost", "what the broker kept, and what was unsettled, is lost")
        self._contact.found()
        return True

    def _void(self) -> None:
        """End the epoch."""
        unsettled = self._handed > self._watermark.position
        self._epoch = 0
        self._contact.lost("connection lost")
        self._buffer.clear()
        self._mids.clear()
        self._sent = self._watermark.seen
        self._watermark = Watermark(self._sent)
        self._handed = self._sent
        if unsettled and not self._revoking:
            self._revoking = True
            self._contact.hold()
            self._spawn(self._revoke(), "simulated revocation")

    async def _revoke(self) -> None:
        self._tell("revoked", "connection lost: what is unsettled comes again")
        try:
            async with asyncio.timeout(self._subscription.drain.total_seconds()):
                await self._listener.revoking((self._stream,))
        except TimeoutError:
            pass
        finally:
            self._revoking = False
            self._contact.rested()
            self.wake()

    def _read(self) -> None:
        """Take what has arrived on the connection that is up; what is older is void."""
        while self._inbox and self._inbox[0][0] <= self._epoch:
            epoch, mid, message = self._inbox.popleft()
            if epoch < self._epoch:
                continue
            position = self._watermark.seen
            self._watermark.take(position)
            self._mids.append(mid)
            self._buffer.append(
                Delivery(
                    message.topic,
                    message.body,
                    None,
                    message.headers,
                    stream=self._stream,
                    position=position,
                    epoch=epoch,
                )
            )

    def _acknowledge_soon(self) -> None:
        self._spawn(self.flush(), "simulated acknowledgement")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell_contact(
        self, kind: Literal["connection_lost", "reconnected"], text: str, unheard: float, /
    ) -> None:
        streams = (self._stream,)
        self._listener.notice(Notice(kind=kind, text=text, streams=streams, unheard=unheard))

    def _tell(self, kind: Literal["revoked", "session_lost"], text: str) -> None:
        self._listener.notice(Notice(kind=kind, text=text, streams=(self._stream,)))


_: type[Consumer] = SimulatedSubscriber
__: type[Client] = SimulatedSubscriber

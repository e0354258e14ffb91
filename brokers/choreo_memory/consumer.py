"""One member of a group: hands over what its places hold, on demand."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from choreo.broker import Consumer, Listener, Notice, Progress, Subscription
from choreo.clock import Clock
from choreo.errors import BrokerError
from choreo.message import Delivery
from choreo_memory.place import Place

logger = logging.getLogger(__name__)


class MemoryConsumer:
    """The places assigned to one member, and one waiting poll."""

    def __init__(self, subscription: Subscription, listener: Listener, clock: Clock) -> None:
        self._subscription = subscription
        self._listener = listener
        self._clock = clock
        self.topics = {topic.name: None for topic in subscription.topics}
        self._places: dict[str, Place] = {}
        self._ready: deque[Place] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._stopped = False
        self._end_release: Callable[[], object] | None = None

    @property
    def holds(self) -> bool:
        """Whether any stream is assigned to it."""
        return bool(self._places)

    # the port

    async def poll(self, limit: int, /) -> Sequence[Delivery]:
        """Wait for deliveries and hand over at least one and at most *limit* of them."""
        if limit < 1:
            raise ValueError(f"poll({limit}): ask for at least one")
        if self._waiter is not None:
            raise BrokerError("two polls at once on one consumer: let one task poll")
        # One turn of the loop a poll: neither side ever waits where a log is never empty, and
        # without it a busy service would starve every other task of the process.
        await asyncio.sleep(0)
        while not self._stopped:
            batch = self._take(limit)
            if batch:
                return batch
            await self._wait()
        return ()

    def settle(self, deliveries: Sequence[Delivery], /) -> None:
        """Note that *deliveries* are done and must never be handed over again."""
        stream, place, touched = "", None, set[Place]()
        for delivery in deliveries:
            if delivery.stream != stream:
                stream = delivery.stream
                place = self._places.get(stream)
                if place is not None:
                    touched.add(place)
            if place is not None and place.epoch == delivery.epoch:
                place.watermark.finish(delivery.position)
        for place in touched:
            place.go_on()

    def stop_intake(self) -> None:
        """Hand over nothing more; a waiting poll returns empty. Deliveries stay valid."""
        self._stopped = True
        self._wake()

    async def flush(self) -> None:
        """Do nothing: what is settled is settled at once."""

    def progress(self) -> Sequence[Progress]:
        """Say where each stream stands."""
        return [place.progress() for place in self._places.values()]

    # the coordinator's side

    def assign(self, places: Sequence[Place], epoch: int) -> None:
        """Read *places* from now on."""
        self._places = {place.stream: place for place in places}
        for place in places:
            place.attach(self, epoch)
        self._notice("assigned", tuple(self._places))

    async def release(self) -> None:
        """Hand over nothing more and let the owner finish, as long as the drain budget lasts."""
        if not self._places:  # gone before its turn
            return
        self._ready.clear()
        revoking = asyncio.ensure_future(self._listener.revoking(tuple(self._places)))
        self._end_release = revoking.cancel
        timer = self._clock.call_later(
            self._subscription.drain.total_seconds(), lambda: _end(revoking)
        )
        try:
            await asyncio.wait([revoking])
        finally:
            timer.cancel()
            self._end_release = None
            revoking.cancel()
        if not revoking.cancelled() and revoking.exception() is not None:
            logger.error(
                "a listener failed while streams were revoked", exc_info=revoking.exception()
            )
        self.lose()

    def lose(self) -> None:
        """Give every stream back; what its owner settles later changes nothing."""
        if self._end_release is not None:
            self._end_release()
        streams = tuple(self._places)
        for place in self._places.values():
            place.detach()
        self._places = {}
        self._ready.clear()
        if streams:
            self._notice("revoked", streams)

    def enqueue(self, place: Place, /) -> None:
        """Note that *place* may have something to hand over."""
        if self._end_release is None:
            self._ready.append(place)
            self._wake()

    def _take(self, limit: int) -> list[Delivery]:
        batch: list[Delivery] = []
        ready, max_span = self._ready, self._subscription.max_span
        while ready and len(batch) < limit:
            place = ready.popleft()
            if place.take(limit - len(batch), max_span, batch):
                ready.append(place)
        return batch

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _notice(self, kind: Literal["assigned", "revoked"], streams: tuple[str, ...]) -> None:
        text = f"{len(streams)} streams {kind} in group {self._subscription.group}"
        self._listener.notice(Notice(kind=kind, text=text, streams=streams))


def _end(revoking: asyncio.Future[None]) -> None:
    revoking.cancel()


_: type[Consumer] = MemoryConsumer

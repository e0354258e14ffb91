"""What a worker has taken in and not given back: counted, and settled in batches."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter

from choreo.broker import Consumer
from choreo.delivery.job import Received
from choreo.delivery.journal import Journals
from choreo.delivery.limits import Limits
from choreo.failpoints import reached
from choreo.message import Delivery

_size: Callable[[Received], int] = attrgetter("size")


class Custody:
    """The deliveries of one worker, from intake to settlement."""

    def __init__(
        self, limits: Limits, journal: Journals, broken: Callable[[Exception], None]
    ) -> None:
        """Call *broken* with what the adapter raises when it should settle."""
        self._limits = limits
        self._journal = journal
        self._broken = broken
        self._bytes = 0
        self._done: list[Delivery] = []
        self.ended: list[Received] = []
        """What is to be released at the next flush, where no journal hears of it: for many at once
        that is cheaper. Whoever adds the first asks for one."""
        self._idle: list[asyncio.Future[None]] = []
        self._begun: dict[tuple[str, int], int] = {}
        self.consumer: Consumer | None = None
        self._held = 0

    @property
    def held(self) -> int:
        """Count the deliveries taken in and not settled."""
        return self._held - len(self.ended)

    @property
    def room(self) -> int:
        """Count the deliveries that may still be taken in, however many are runnable."""
        limit = self._limits.max_unsettled_bytes
        if self._bytes >= limit and self._bytes - sum(map(_size, self.ended)) >= limit:
            return 0
        return self._limits.max_unsettled - self.held

    def take(self, received: Received) -> None:
        """Take responsibility for *received*."""
        self.take_all((received,))

    def take_all(self, batch: Sequence[Received]) -> None:
        """Take responsibility for all of *batch*."""
        self._held += len(batch)
        self._bytes += sum(map(_size, batch))
        if self._journal.heard:
            for received in batch:
                self._journal.received(received)

    def release(self, received: Received) -> None:
        """Settle *received* soon, with others, unless it was dropped."""
        self._held -= 1
        self._bytes -= received.size
        if not received.dropped and not received.parked:
            done = self._done
            if not done:
                self.flush_soon()
            done.append(received.delivery)
        if self._journal.heard:
            self._journal.settled(received)
        if self._idle and not self.held:
            self._tell_idle()

    def flush_soon(self) -> None:
        """Settle in the next turn of the loop whatever is to be settled then."""
        asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Settle now whatever is to be settled."""
        if self.ended:
            ended, self.ended = self.ended, []
            self._held -= len(ended)
            self._bytes -= sum(map(_size, ended))
            self._done += [received.delivery for received in ended if not received.dropped]
            if self._idle and not self.held:
                self._tell_idle()
        if self._done and self.consumer is not None:
            done, self._done = self._done, []
            reached("settling")
            try:
                self.consumer.settle(done)
            except Exception as error:  # noqa: BLE001 -- of an adapter; in a callback nobody else hears it
                self._broken(error)
            reached("settled")

    def _tell_idle(self) -> None:
        idle, self._idle = self._idle, []
        for waiter in idle:
            if not waiter.done():
                waiter.set_result(None)

    async def idle(self) -> None:
        """Return once nothing is held."""
        while self.held:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    def note_begun(self, delivery: Delivery) -> None:
        """Remember how far its stream has been begun."""
        place = (delivery.stream, delivery.epoch)
        if delivery.position > self._begun.get(place, -1):
            self._begun[place] = delivery.position

    def lies_before_begun(self, delivery: Delivery) -> bool:
        """Say whether something at or after it was begun in its stream."""
        return delivery.position <= self._begun.get((delivery.stream, delivery.epoch), -1)

    def forget(self, streams: Collection[str]) -> None:
        """Forget how far *streams* were begun: they went to another consumer."""
        for place in [place for place in self._begun if place[0] in streams]:
            del self._begun[place]

"""The partitions one member holds: read ahead within bounds, handed over in turn, settled."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from aiokafka.structs import TopicPartition

from choreo.broker import Subscription
from choreo.delivery.watermark import Finished
from choreo.message import Delivery
from choreo_kafka.client import Record
from choreo_kafka.offsets import Place
from choreo_kafka.stream import Stream

MAX_FETCH = 500
"""Records asked of the client at once: larger batches cost more per record, not less."""

Due = tuple[Stream, tuple[int, str]]
"""What to commit: of which stream, and offset and metadata."""


class Streams:
    """Every stream of the current epoch, and one bounded buffer between client and worker."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._by_name: dict[str, Stream] = {}
        self._by_place: dict[TopicPartition, Stream] = {}
        self._turns: deque[Stream] = deque()
        self.epoch = 0
        self.sealed = False
        """Being given back: nothing more is handed over or read ahead, but work may be settled."""
        self.stopped = False
        self.ready = asyncio.Event()
        self.room_made = asyncio.Event()
        self.dirty = asyncio.Event()
        """There may be something to commit."""
        self._mean = 1.0
        """Bytes of a record lately, to ask for no more of them than there is room for."""

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all streams."""
        return tuple(self._by_name)

    # assignment

    def open(self, places: Collection[Place]) -> None:
        """Hold these places, in the current epoch."""
        self.sealed = False
        for place in places:
            stream = Stream(place, epoch=self.epoch, max_span=self._subscription.max_span)
            self._by_name[stream.name] = self._by_place[stream.place] = stream
        self._turns = deque(self._by_name.values())
        self.dirty.set()

    def reopen(self, stream: Stream, offset: int) -> None:
        """Read *stream* on from *offset*, its log having changed under us.

        Where that is further on, what is missing counts as done. Where the log begins anew, the
        stream does too, in an epoch of its own.
        """
        stream.drop()
        if offset >= stream.fetched:
            stream.catch_up(offset)
        else:
            self.epoch += 1
            place = replace(stream.found, offset=offset, finished=Finished(), committed=None)
            self.open([place])
        self.dirty.set()

    def seal(self) -> None:
        """Hand over nothing more and drop what was read ahead; settling still counts."""
        self.sealed = True
        for stream in self:
            stream.drop()

    def clear(self) -> None:
        """Hold nothing; whatever is settled from now on changes nothing (K5)."""
        self.epoch += 1
        self._by_name.clear()
        self._by_place.clear()
        self._turns.clear()
        self.sealed = False

    def at(self, place: TopicPartition) -> Stream | None:
        """Find the stream of *place*, if it is held and open."""
        return None if self.sealed else self._by_place.get(place)

    # from the client

    @property
    def room(self) -> int:
        """Count the records that may be read ahead now."""
        if self.sealed or self.stopped:
            return 0
        streams = self._by_name.values()
        room = self._subscription.read_ahead - sum(stream.buffered for stream in streams)
        left = self._subscription.read_ahead_bytes - sum(stream.bytes for stream in streams)
        if room <= 0 or left <= 0:
            return 0
        most = max(1, self._subscription.read_ahead // 4)
        return min(room, most, MAX_FETCH, max(1, int(left / self._mean)))

    def hoarding(self) -> list[Stream]:
        """Tell which streams rest on more than their share of what all may read ahead."""
        share = self._subscription.read_ahead // max(1, len(self._by_name))
        return [s for s in self._by_name.values() if s.buffered > share and s.rests]

    @property
    def held_back(self) -> bool:
        """Whether a stream is not read ahead only because it has enough for now."""
        cap = self._cap
        return any(s.buffered >= cap and not s.rests for s in self._by_name.values())

    def wanting(self) -> tuple[list[Stream], list[Stream]]:
        """Tell which streams may be read ahead: those with nothing left, and the rest.

        The former come first, so that no partition lives at the cost of another.
        """
        cap = self._cap
        open_ = [s for s in self._by_name.values() if s.buffered < cap and not s.rests]
        return [s for s in open_ if not s.buffered], [s for s in open_ if s.buffered]

    @property
    def _cap(self) -> int:
        """How many records one stream may have read ahead."""
        cap = self._subscription.read_ahead
        return max(1, cap // 2) if len(self._by_name) > 1 else cap

    def admit(self, stream: Stream, records: Sequence[Record]) -> None:
        """Keep *records* of *stream* to be handed over."""
        before, had = stream.bytes, stream.buffered
        stream.admit(records)
        if stream.buffered > had:
            self._mean = (self._mean + (stream.bytes - before) / (stream.buffered - had)) / 2
            self.ready.set()
        else:
            self.dirty.set()

    # to and from the worker

    def take(self, limit: int) -> list[Delivery]:
        """Hand over at most *limit* records, the streams taking turns."""
        taken: list[Delivery] = []
        if self.sealed or self.stopped:
            return taken
        turns = self._turns
        for _ in range(len(turns)):
            stream = turns[0]
            turns.rotate(-1)
            if stream.buffered:
                stream.hand_over(limit - len(taken), taken)
                if len(taken) >= limit:
                    break
        if taken:
            self.room_made.set()
        return taken

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Note that *deliveries* are done, save those of an older epoch."""
        by_name = self._by_name
        stream: Stream | None = None
        name = ""
        resting: set[Stream] = set()
        for delivery in deliveries:
            if delivery.stream != name or stream is None:
                name = delivery.stream
                stream = by_name.get(name)
                if stream is None:
                    continue
                if stream.rests:
                    resting.add(stream)
            if stream.epoch == delivery.epoch:
                stream.watermark.finish(delivery.position)
        if not all(stream.rests for stream in resting):
            self._go_on()
        self.dirty.set()

    def _go_on(self) -> None:
        """Have what was read ahead of a stream handed over that rested, and more read."""
        self.ready.set()
        self.room_made.set()

    # to the broker

    def due(self, held: Collection[TopicPartition], *, plain: bool) -> list[Due]:
        """Tell what is to be committed of the partitions *held*; see Stream.due."""
        due: list[Due] = []
        for stream in self:
            if stream.place not in held:
                continue
            rested = stream.rests
            target = stream.due(plain=plain)
            if target is not None:
                due.append((stream, target))
            if rested and not stream.rests:  # what crowded its metadata is done
                self._go_on()
        return due

"""One assigned partition: what was read ahead of it, what was handed over, what is done."""

from collections import deque
from collections.abc import Sequence

from aiokafka.structs import TopicPartition

from choreo.broker import Progress
from choreo.delivery.watermark import Finished, Watermark
from choreo.message import Delivery
from choreo_kafka.client import Record
from choreo_kafka.offsets import METADATA_LIMIT, Place, recorded

CROWDED = 0.75
"""Share of the commit metadata that may be full before the partition rests (R9)."""

_blank = object.__new__


class Stream:
    """One partition in one assignment epoch; another assignment is another Stream (K5)."""

    __slots__ = (
        "_bytes",
        "_chunks",
        "_cursor",
        "_finished",
        "_max_span",
        "buffered",
        "committed",
        "crowded",
        "end",
        "epoch",
        "fetched",
        "found",
        "name",
        "place",
        "watermark",
    )

    def __init__(self, place: Place, *, epoch: int, max_span: int) -> None:
        self.place = place.partition
        self.found = place
        self.name = stream_name(place.partition)
        self.epoch = epoch
        self.watermark = Watermark(place.offset, place.finished)
        self.fetched = place.offset
        """First position the client has not given us yet: where to read on after an error (K17)."""
        self.end: int | None = None
        self.buffered = 0
        self.crowded = False
        self.committed: tuple[int, str] | None = place.committed
        self._finished: Finished | None = place.finished if len(place.finished) else None
        self._max_span = max_span
        self._chunks: deque[tuple[list[Delivery], int]] = deque()
        self._cursor = 0
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Bytes read ahead, released a chunk at a time."""
        return self._bytes

    @property
    def rests(self) -> bool:
        """Whether nothing more is handed over until something older is done (R9)."""
        return self.crowded or self.watermark.span >= self._max_span

    def admit(self, records: Sequence[Record]) -> None:
        """Keep *records* to be handed over, except those an earlier owner had finished."""
        fetched = self.fetched
        self.fetched = max(fetched, records[-1].offset + 1)
        if records[0].offset < fetched:
            records = [record for record in records if record.offset >= fetched]
        finished = self._finished
        if finished is not None and fetched < finished.end:
            records = [record for record in records if record.offset not in finished]
        if records:
            deliveries, size = self._deliveries(records)
            self._chunks.append((deliveries, size))
            self.buffered += len(deliveries)
            self._bytes += size

    def hand_over(self, limit: int, into: list[Delivery]) -> None:
        """Move up to *limit* records to *into*, as far as the span allows."""
        chunks, watermark = self._chunks, self.watermark
        while limit > 0 and chunks and not self.crowded:
            chunk, size = chunks[0]
            start = self._cursor
            if not watermark.unfinished:  # a hole is no span
                watermark.skip_to(chunk[start].position)
            last = watermark.position + self._max_span
            part = chunk if not start and limit >= len(chunk) else chunk[start : start + limit]
            if part[-1].position >= last:
                part = [delivery for delivery in part if delivery.position < last]
            self._take(part)
            into += part
            limit -= len(part)
            self.buffered -= len(part)
            self._cursor = start + len(part)
            if self._cursor < len(chunk):
                return
            chunks.popleft()
            self._cursor = 0
            self._bytes -= size

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Note that *deliveries* are handed over: all at once where no position is left out."""
        watermark = self.watermark
        if not deliveries:
            return
        first, end = deliveries[0].position, deliveries[-1].position + 1
        if first >= watermark.seen and end - first == len(deliveries):
            watermark.skip_to(first)
            watermark.take_to(end)
            return
        for delivery in deliveries:
            watermark.take(delivery.position)

    def _deliveries(self, records: Sequence[Record]) -> tuple[list[Delivery], int]:
        """Make deliveries of *records*, which are looked at once; and tell their bytes."""
        topic, name, epoch, size = self.place.topic, self.name, self.epoch, 0
        found: list[Delivery] = []
        for record in records:
            body, key, stamp = record.value, record.key, record.timestamp
            if body:
                size += len(body)
            if key:
                size += len(key)
            delivery: Delivery = _blank(Delivery)  # its constructor costs half as much again
            delivery.topic, delivery.stream, delivery.epoch = topic, name, epoch
            delivery.body, delivery.key, delivery.headers = body, key, tuple(record.headers)
            delivery.retain, delivery.position = False, record.offset
            delivery.timestamp = stamp / 1000 if stamp >= 0 else None
            found.append(delivery)
        return found, size

    def drop(self) -> None:
        """Forget what was read ahead; it is to be read again from *fetched*."""
        if self._chunks:
            self.fetched = self._chunks[0][0][self._cursor].position
        self._chunks.clear()
        self._cursor = self.buffered = self._bytes = 0

    def catch_up(self, position: int) -> bool:
        """Note that the client is at *position*, past markers nobody is handed (K2)."""
        self.fetched = max(self.fetched, position)
        if self.buffered or self.watermark.seen >= self.fetched:
            return False
        self.watermark.skip_to(self.fetched)
        return True

    def due(self, *, plain: bool) -> tuple[int, str] | None:
        """Tell offset and metadata to commit, None if the broker has them; never goes back (K22).

        *plain* leaves the finished positions out, for a broker that refused them.
        """
        limit = METADATA_LIMIT
        text, whole = ("", True) if plain else self.watermark.metadata(limit)
        self.crowded = not whole or len(text) > CROWDED * limit
        target = (self.watermark.position, recorded(text, self.found.partitions))
        if target == self.committed or (self.committed and target[0] < self.committed[0]):
            return None
        return target

    def progress(self) -> Progress:
        """Say where this stream stands."""
        return Progress(
            stream=self.name,
            settled=self.watermark.position,
            handed=self.watermark.seen,
            end=self.end,
        )


def stream_name(partition: TopicPartition) -> str:
    """Name the partition as Kafka's own log folders do."""
    return f"{partition.topic}-{partition.partition}"

"""What waits to be sent to one partition, and how the next batch is cut from it."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from choreo.message import Message
from choreo_kafka.client import Batch, RawProducer, Records, counted, records_of
from choreo_kafka.receipt import HELD, Item

BATCH_OVERHEAD = 61
"""Bytes a batch adds around its records; a topic's limit is on the whole (Kafka message format)."""
UNENCODABLE = (TypeError, ValueError, OverflowError, AttributeError)
"""What the client raises for a key, value or header that is not of the declared type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicLimits:
    """What a topic refuses."""

    message_bytes: int
    """Largest batch it takes, uncompressed; one message is the smallest batch."""
    payload_bytes: int
    """Largest body and key together that we send it: what is larger could not be dead-lettered,
    which adds headers (K31)."""
    compacted: bool = False
    """It takes no message without a key."""
    retention: timedelta | None = None
    """How long it keeps a message; ``timedelta.max`` is for ever, None is not known."""

    @property
    def suspect(self) -> int:
        """The size in bytes above which a message may be refused; below it none is."""
        return -1 if self.compacted else min(self.message_bytes, self.payload_bytes)

    def problem(self, message: Message, size: int) -> str | None:
        """Say why the topic takes no *message* that makes a batch of *size* bytes, or None."""
        if size > self.message_bytes:
            return f"{size} bytes are more than the {self.message_bytes} it takes"
        if size > self.payload_bytes:
            payload = len(message.body or b"") + len(message.key or b"")
            if payload > self.payload_bytes:
                return f"{payload} bytes are more than max_message_bytes={self.payload_bytes}"
        if self.compacted and message.key is None:
            return "it is compacted and takes no null key"
        return None


@dataclass(slots=True, eq=False)
class Outlet:
    """Messages for one partition, in order; one batch at a time is on its way."""

    topic: str
    partition: int
    waiting: deque[Item] = field(default_factory=deque[Item])
    singly: int = 0
    """How many of the next are sent alone, to find the one that spoils the batch."""
    task: asyncio.Task[None] | None = None

    def drop_closed(self) -> None:
        """Forget what nobody waits for any more."""
        if any(receipt.closed for receipt, _ in self.waiting):
            self.waiting = deque(item for item in self.waiting if not item[0].closed)

    def give_back(self, items: list[Item]) -> None:
        """Put *items*, which were refused together, back to the front, to be sent one by one."""
        self.waiting.extendleft(reversed(items))
        self.singly = len(items)

    def cut(
        self, producer: RawProducer, limits: TopicLimits, room: int
    ) -> tuple[Batch, list[Item]]:
        """Fill one batch of at most *room* bytes, refusing what no batch can hold."""
        while True:
            batch, items = producer.create_batch(), list[Item]()
            if self._fill(records_of(batch), items, limits, min(room, limits.message_bytes)):
                counted(batch, len(items))
                if self.singly:
                    self.singly -= len(items)
                return batch, items
            # A batch holding a refused message cannot be used: the rest goes into a new one.
            self.waiting.extendleft(reversed(items))

    def _fill(self, records: Records, items: list[Item], limits: TopicLimits, room: int) -> bool:
        """Move items into a batch until it is full; False if one had to be refused on the way."""
        waiting, append = self.waiting, records.append
        careful = limits.message_bytes <= room  # else the batch is full before the limit is met
        suspect = limits.suspect
        while waiting and not (self.singly and items):
            receipt, index = waiting[0]
            if receipt.closed or (receipt.broken and receipt.holds(index)):
                waiting.popleft()
                self.singly = max(0, self.singly - 1)
                if not receipt.closed:
                    receipt.doubt(index, HELD)
                continue
            message = receipt.messages[index]
            try:
                given = message.headers
                headers = given if isinstance(given, list) else list(given)
                if (
                    careful
                    and items
                    and records.size() + _size(message.key, message.body, headers) > room
                ):
                    return True
                added = append(len(items), None, message.key, message.body, headers)
            except UNENCODABLE as error:
                return self._refuse(f"cannot be encoded: {error}")
            if added is None:
                return True
            size = added.size + BATCH_OVERHEAD
            if size > suspect and (problem := limits.problem(message, size)):
                return self._refuse(f"topic {self.topic!r}: {problem}")
            items.append(waiting.popleft())
        return True

    def _refuse(self, reason: str) -> bool:
        receipt, index = self.waiting.popleft()
        self.singly = max(0, self.singly - 1)
        receipt.refuse(index, reason)
        return False


def _size(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> int:
    return DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, headers)

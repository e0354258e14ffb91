"""One group's place in one partition: what was handed over, what is done, what must come again.

Theory of operation.  A place outlives its readers.  While it has one it is *queued* with it (there
may be something to hand over), *listening* to its partition (everything was handed over) or
*resting* (its oldest unsettled delivery is ``max_span`` behind).  When the reader goes, everything
handed over and not settled is kept in ``_again``, lowest first, for the next reader; the watermark
goes on, so that what was settled above it never comes again.
"""

from collections import deque
from typing import Protocol

from choreo.broker import Progress
from choreo.delivery.watermark import Watermark
from choreo.message import Delivery
from choreo_memory.partition import Partition


class Reader(Protocol):
    """The consumer that a place is assigned to."""

    def enqueue(self, place: "Place", /) -> None:
        """Note that *place* may have something to hand over."""
        ...


class Place:
    """A cursor with a memory."""

    __slots__ = (
        "_again",
        "_listening",
        "_partition",
        "_queued",
        "_reader",
        "_resting",
        "epoch",
        "watermark",
    )

    def __init__(self, partition: Partition, start: int) -> None:
        self._partition = partition
        self.watermark = Watermark(start)
        """What is settled of it; who settles something calls ``go_on`` then."""
        self._again: deque[int] = deque()
        self._reader: Reader | None = None
        self._queued = self._listening = self._resting = False
        self.epoch = 0
        """The assignment under which it hands over; 0 while it has no reader."""
        partition.floors.append(lambda: self.watermark.position)

    @property
    def stream(self) -> str:
        """The partition's name."""
        return self._partition.stream

    def attach(self, reader: Reader, epoch: int) -> None:
        """Hand over to *reader* from now on."""
        self._reader = reader
        self.epoch = epoch
        self._queued = True
        reader.enqueue(self)

    def detach(self) -> None:
        """Take back what the reader did not settle; what it settles from now on changes nothing."""
        self._reader = None
        self.epoch = 0
        self._queued = self._resting = False
        self._again = deque(self.watermark.remaining())

    def take(self, limit: int, max_span: int, batch: list[Delivery]) -> bool:
        """Add at most *limit* deliveries to *batch*; say whether there is more to take."""
        partition, epoch, full = self._partition, self.epoch, len(batch) + limit
        again = self._again
        while again and len(batch) < full:
            position = again.popleft()
            batch += partition.deliveries(position, position + 1, epoch)
        if again:
            return True
        watermark, end = self.watermark, partition.end
        bound = watermark.position + max_span
        position = watermark.seen
        stop = min(position + full - len(batch), end, bound)
        if position < stop:
            batch += partition.deliveries(position, stop, epoch)
            watermark.take_to(stop)
            position = stop
        if position < end and position < bound:
            return True
        self._queued = False
        if position < end:
            self._resting = True
        elif not self._listening:
            self._listening = True
            self._partition.wait(self._wake)
        return False

    def go_on(self) -> None:
        """Hand over more if it rested: something was settled."""
        if self._resting:
            self._resting = False
            self._enqueue()

    def progress(self) -> Progress:
        """Say where it stands."""
        watermark = self.watermark
        return Progress(
            stream=self.stream,
            settled=watermark.position,
            handed=self._again[0] if self._again else watermark.seen,
            end=self._partition.end,
        )

    def _wake(self) -> None:
        self._listening = False
        self._enqueue()

    def _enqueue(self) -> None:
        if self._reader is not None and not self._queued:
            self._queued = True
            self._reader.enqueue(self)

"""Whether a number is at work for so long that other processes must hear of it: pure.

Theory of operation.  Who waits behind a gap cannot see whether its numbers are lost or at work in
another process.  So the owner of a stream tells, a moment after it has come to be at its numbers,
and then once in each part of the patience, and patience begins anew from there.  Quick handlers
never tell; a lane that is long and goes on tells, too, as its last number may have come long ago.
If the owner dies, or stands still, it tells no more, and patience runs out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from choreo.store.streams import StreamKey

T = TypeVar("T")

PARTS = 4
"""Parts of the patience of which one passes between two times that others are told."""
MOMENT = 0.25
"""Seconds before they are told for the first time, unless a part of the patience is shorter."""
SHORTEST = 0.05
"""Seconds between two times, however little patience there is."""


class Told(NamedTuple, Generic[T]):
    """What others are to hear of: the first item at work of a stream, and its patience."""

    stream: StreamKey
    item: T
    patience: float


@dataclass(slots=True)
class Watch(Generic[T]):
    """What is at work of one stream, in order."""

    patience: float
    due: float
    items: dict[T, None] = field(default_factory=dict[T, None])

    @property
    def part(self) -> float:
        """Seconds between two times that others are told."""
        return max(self.patience / PARTS, SHORTEST)


class Vigil(Generic[T]):
    """The streams that somebody in this process is at."""

    def __init__(self) -> None:
        self._watches: dict[StreamKey, Watch[T]] = {}

    @property
    def next_due(self) -> float | None:
        """Monotonic time at which others are to be told next."""
        return min((watch.due for watch in self._watches.values()), default=None)

    def begun(self, stream: StreamKey, item: T, patience: float, now: float) -> None:
        """Hear that *item* may be handled, behind what was let out of its stream before."""
        watch = self._watches.get(stream)
        if watch is None:
            watch = self._watches[stream] = Watch(patience, now)
            watch.due = now + min(watch.part, MOMENT)
        watch.items[item] = None

    def ended(self, stream: StreamKey, item: T) -> None:
        """Hear that *item* is at work no more."""
        watch = self._watches.get(stream)
        if watch is None or item not in watch.items:
            return
        del watch.items[item]
        if not watch.items:
            del self._watches[stream]

    def due(self, now: float) -> Sequence[Told[T]]:
        """Tell of what others are to hear now; each is due again later."""
        told: list[Told[T]] = []
        for stream, watch in self._watches.items():
            if watch.due <= now:
                watch.due = now + watch.part
                told.append(Told(stream, next(iter(watch.items)), watch.patience))
        return told

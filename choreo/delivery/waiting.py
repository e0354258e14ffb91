"""Things that rest until they are due, on one timer however many there are."""

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

from choreo.clock import Clock, Timer

T = TypeVar("T")


class Waiting(Generic[T]):
    """Hold items back for a while each; hand them to *release* when due, never early."""

    def __init__(self, clock: Clock, release: Callable[[T], None]) -> None:
        self._clock = clock
        self._release = release
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0
        self._timer: Timer | None = None

    def __len__(self) -> int:
        """Count what rests."""
        return len(self._heap)

    @property
    def next_due(self) -> float | None:
        """Monotonic time at which the next item is due."""
        return self._heap[0][0] if self._heap else None

    def add(self, item: T, seconds: float) -> None:
        """Hold *item* back for *seconds*."""
        self._count += 1
        entry = (self._clock.monotonic() + seconds, self._count, item)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._arm()

    def drop(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Take out every item that is *unwanted*, the soonest due first."""
        dropped = [entry for entry in sorted(self._heap) if unwanted(entry[2])]
        if dropped:
            gone = {entry[1] for entry in dropped}
            self._heap = [entry for entry in self._heap if entry[1] not in gone]
            heapq.heapify(self._heap)
            self._arm()
        return [item for _, _, item in dropped]

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            rest = max(0.0, self._heap[0][0] - self._clock.monotonic())
            self._timer = self._clock.call_later(rest, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            self._release(heapq.heappop(self._heap)[2])
        self._arm()

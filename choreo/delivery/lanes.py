"""Order within a lane, concurrency across lanes: decides what may run next, and runs nothing.

Theory of operation.  A lane is *busy* from the moment its first item is taken in until it is
released with nothing queued; only then is it forgotten, so that a million idle keys cost nothing.
Of a busy lane exactly one item is out: ready, running, or waiting for another attempt; those behind
it queue in arrival order.  Nothing here knows time: an item that waits for its next attempt simply
has not been released.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Items in lanes; one item of a lane is out at a time."""

    __slots__ = ("_busy", "_queued", "ready")

    def __init__(self) -> None:
        self.ready: deque[T] = deque()
        """Items that may run now; take from the left."""
        self._busy: dict[Hashable, deque[T] | None] = {}
        self._queued = 0

    def __len__(self) -> int:
        """Count the busy lanes."""
        return len(self._busy)

    @property
    def queued(self) -> int:
        """Count the items behind another of their lane."""
        return self._queued

    def add(self, lane: Hashable, item: T) -> None:
        """Take *item* in: ready at once if its lane is idle, else behind those before it."""
        busy = self._busy
        if lane not in busy:
            busy[lane] = None
            self.ready.append(item)
            return
        self._queued += 1
        queue = busy[lane]
        if queue is None:
            busy[lane] = deque((item,))
        else:
            queue.append(item)

    def again(self, item: T) -> None:
        """Make an item that is out ready for another attempt; its lane stays held."""
        self.ready.append(item)

    def release(self, lane: Hashable) -> None:
        """Let the lane's next item out, now that the one that was out is done."""
        queue = self._busy[lane]
        if queue:
            self._queued -= 1
            self.ready.append(queue.popleft())
        else:
            del self._busy[lane]

    def drop_behind(self, lane: Hashable, unwanted: Callable[[T], bool]) -> list[T]:
        """Take out what is queued in *lane* and *unwanted*, in order."""
        queue = self._busy[lane]
        if not queue:
            return []
        dropped = [item for item in queue if unwanted(item)]
        kept = [item for item in queue if not unwanted(item)]
        queue.clear()
        queue.extend(kept)
        self._queued -= len(dropped)
        return dropped

    def put_behind(self, lane: Hashable, items: Sequence[T]) -> None:
        """Put back, in order, what was taken from behind the one that is out of *lane*."""
        if items:
            queue = self._busy[lane]
            if queue is None:
                queue = self._busy[lane] = deque()
            queue.extendleft(reversed(items))
            self._queued += len(items)

    def drop(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Take out every queued item that is *unwanted*, in order within each lane.

        Items that are out are the caller's to deal with.
        """
        return [item for lane in self._busy for item in self.drop_behind(lane, unwanted)]

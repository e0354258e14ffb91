"""Messages that have come and that nobody has asked for yet, bounded in count and bytes."""

from collections import deque
from collections.abc import Sequence

from choreo.message import Delivery

OVERHEAD = 256
"""Bytes a message costs beside what it carries; keeps empty messages from being free."""


class Buffer:
    """A bounded queue; its owner stops reading while it is full and reads on when it has room."""

    def __init__(self, *, count: int, size: int) -> None:
        self._count = max(1, count)
        self._size = size
        self._held: deque[tuple[Delivery, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def full(self) -> bool:
        """Whether to stop reading."""
        return len(self._held) >= self._count or self._bytes >= self._size

    @property
    def roomy(self) -> bool:
        """Whether to read on: there is room for a good batch again."""
        return len(self._held) <= self._count // 2 and self._bytes <= self._size // 2

    def put(self, delivery: Delivery, size: int) -> None:
        """Add a message of *size* bytes."""
        cost = size + OVERHEAD
        self._held.append((delivery, cost))
        self._bytes += cost

    def take(self, limit: int) -> Sequence[Delivery]:
        """Remove at most *limit* messages, oldest first."""
        held = self._held
        taken: list[Delivery] = []
        for _ in range(min(limit, len(held))):
            delivery, cost = held.popleft()
            self._bytes -= cost
            taken.append(delivery)
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._bytes = 0

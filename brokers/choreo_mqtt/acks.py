"""Which PUBACKs may go out: strictly in the order of receipt (MQTT 5.0 §4.6, M4)."""

from collections import deque
from collections.abc import Sequence

from choreo.delivery.watermark import Watermark


class Acks:
    """The unacknowledged messages of one connection.

    Each message gets a position as it arrives, and positions go on over all connections. What may
    be acknowledged is the prefix of finished positions; packet ids of an earlier connection are
    forgotten with it, because the broker may have given them to other messages since (M3).
    """

    def __init__(self) -> None:
        self._mids: deque[int] = deque()
        self._sent = 0
        self._watermark = Watermark(0)

    @property
    def position(self) -> int:
        """First position that is not finished."""
        return self._watermark.position

    @property
    def seen(self) -> int:
        """First position that no message has yet."""
        return self._watermark.seen

    def arrived(self, mid: int) -> int:
        """Note a message and tell its position; *mid* is 0 for one that wants no PUBACK."""
        position = self._watermark.seen
        self._watermark.take(position)
        self._mids.append(mid)
        return position

    def finish(self, position: int) -> bool:
        """Note that the message at *position* is done; say whether more may be acknowledged."""
        self._watermark.finish(position)
        return self._watermark.position > self._sent

    def due(self) -> Sequence[int]:
        """Take the packet ids that may be acknowledged now, in their order."""
        mids = self._mids
        ready = [mids.popleft() for _ in range(self._watermark.position - self._sent)]
        self._sent += len(ready)
        return [mid for mid in ready if mid]

    def restart(self) -> None:
        """Forget what is unacknowledged: the connection is gone, and all of it comes again."""
        self._sent = self._watermark.seen
        self._watermark = Watermark(self._sent)
        self._mids.clear()

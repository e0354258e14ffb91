"""Bytes on their way to and from a broker: all that an adapter sees of an event."""

from collections.abc import Sequence
from dataclasses import dataclass

Header = tuple[str, bytes | None]
"""One header as it is on the wire: names may repeat, order is kept, a value may be absent."""


@dataclass(slots=True)
class Message:
    """A topic, an optional key, headers in order, and a body (None is a tombstone)."""

    topic: str
    body: bytes | None
    key: bytes | None = None
    headers: Sequence[Header] = ()
    retain: bool = False
    """Outgoing: keep it as the topic's last value. Incoming: it is such a kept value."""


@dataclass(slots=True, eq=False)
class Delivery(Message):
    """One message handed to one consumer, to be settled by that consumer exactly there.

    *stream* is the unit within which the broker keeps order (a partition, a connection), *position*
    its place in it, *epoch* the assignment or connection under which it came: settling a delivery
    of an older epoch changes nothing on the broker. *timestamp* is the broker's or sender's record
    time in unix seconds, where there is one.
    """

    stream: str = ""
    position: int = 0
    epoch: int = 0
    timestamp: float | None = None

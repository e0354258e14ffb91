"""What the tests of the memory broker share."""

from collections.abc import Collection
from dataclasses import dataclass, field

from choreo.broker import Notice, Subscription, TopicFilter
from choreo.message import Message

TOPIC = "orders"
ALL = Subscription(group="g", topics=(TopicFilter(TOPIC),))


@dataclass
class Ear:
    """A listener that finishes at once."""

    notices: list[Notice] = field(default_factory=list[Notice])

    async def revoking(self, streams: Collection[str], /) -> None:
        """Have nothing to finish."""

    def notice(self, notice: Notice, /) -> None:
        """Remember *notice*."""
        self.notices.append(notice)


def keyed(count: int, start: int = 0) -> list[Message]:
    """Make messages with their numbers as bodies, over sixteen keys."""
    return [Message(TOPIC, b"%d" % n, b"key-%d" % (n % 16)) for n in range(start, start + count)]

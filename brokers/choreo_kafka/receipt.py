"""What became of the messages of one publish call: accepted, refused, or unknown."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from choreo.errors import PublishError
from choreo.message import Message

HELD = "not sent: an earlier message of its key was not accepted"


class Receipt:
    """Counts down to the fate of the last message; what is not told otherwise was accepted."""

    __slots__ = (
        "_accepted",
        "_left",
        "_refused",
        "_unknown",
        "broken",
        "closed",
        "done",
        "messages",
    )

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False
        """Nobody waits any more: what was not sent yet must not be."""
        self._left = len(messages)
        self._accepted: list[Sequence[Item]] = []
        self._refused: dict[int, str] = {}
        self._unknown: dict[int, str] = {}
        self.broken: set[tuple[str, bytes]] = set()
        """Topic and key of what has lost a message."""

    def accept(self, items: "Sequence[Item]", count: int) -> None:
        """Note that those *items* were stored, of which *count* are this call's."""
        if not self.closed:
            self._accepted.append(items)
        self._count(count)

    def refuse(self, index: int, reason: str) -> None:
        """Note that the message at *index* was not stored, and what follows in its key must not."""
        self._refused[index] = reason
        self._break(index)
        self._count(1)

    def doubt(self, index: int, reason: str) -> None:
        """Note that nobody knows whether the message at *index* was stored."""
        self._unknown[index] = reason
        self._break(index)
        self._count(1)

    def holds(self, index: int) -> bool:
        """Say whether the message at *index* must wait, its key having lost one before it (P6)."""
        message = self.messages[index]
        return message.key is not None and (message.topic, message.key) in self.broken

    def expire(self, reason: str) -> None:
        """Note that nobody knows anything of what has no fate yet."""
        known = self._refused.keys() | self._unknown.keys()
        known |= {index for items in self._accepted for owner, index in items if owner is self}
        for index in range(len(self.messages)):
            if index not in known:
                self._unknown[index] = reason
        if not self.done.done():
            self.done.set_result(None)

    def close(self) -> None:
        """Hear that nobody waits any more: else its messages would wait for the collector."""
        self.closed = True
        self._accepted.clear()

    def raise_unless_accepted(self) -> None:
        """Raise PublishError if any message was not accepted."""
        if self._refused or self._unknown:
            first = next(iter({**self._refused, **self._unknown}.values()))
            raise PublishError(
                f"of {len(self.messages)} messages {len(self._refused)} were refused and "
                f"{len(self._unknown)} have an unknown fate: {first}",
                refused=self._refused,
                unknown=self._unknown,
            )

    def _break(self, index: int) -> None:
        message = self.messages[index]
        if message.key is not None:
            self.broken.add((message.topic, message.key))

    def _count(self, count: int) -> None:
        self._left -= count
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)


Item = tuple[Receipt, int]
"""One message: which call's, and its index there."""


def accept(items: Sequence[Item]) -> None:
    """Note on every receipt that its messages among *items* were stored."""
    receipt = items[0][0]
    if items[-1][0] is receipt:  # a call's messages follow each other
        receipt.accept(items, len(items))
        return
    for receipt, own in groupby(items, key=itemgetter(0)):
        receipt.accept(items, sum(1 for _ in own))


def doubt(items: Iterable[Item], reason: str) -> None:
    """Note on every receipt that the fate of its messages among *items* is unknown."""
    for receipt, index in items:
        receipt.doubt(index, reason)

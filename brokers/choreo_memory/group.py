"""A consumer group: who its members are, and which of them reads what.

Theory of operation.  Every join and every departure takes all streams from all members and deals
them out anew, as Kafka's eager protocol does.  Before that, members that hold streams are told
(``Listener.revoking``) and given their drain budget; what they settle in that time counts.  Then
their epoch ends.  Members that come or go meanwhile need no rebalance of their own: the running one
deals to whoever is a member at its end.
"""

import asyncio
from collections.abc import Iterator

from choreo_memory.consumer import MemoryConsumer
from choreo_memory.partition import TopicLog
from choreo_memory.place import Place


class Group:
    """The coordinator of one group."""

    def __init__(self, name: str, epochs: Iterator[int]) -> None:
        self.name = name
        self._epochs = epochs
        self._members: list[MemoryConsumer] = []
        self._topics: dict[str, list[Place]] = {}
        self._draining: asyncio.Task[None] | None = None

    def join(self, member: MemoryConsumer, topics: list[TopicLog], *, latest: bool) -> None:
        """Take *member* in; a topic new to the group is read from its first or its next record."""
        for topic in topics:
            if topic.name not in self._topics:
                self._topics[topic.name] = [
                    Place(partition, partition.end if latest else partition.start)
                    for partition in topic.partitions
                ]
        self._members.append(member)
        self._rebalance()

    def drop(self, member: MemoryConsumer) -> None:
        """Let *member* go, at once; what it did not settle goes to the others."""
        if member in self._members:
            self._members.remove(member)
            member.lose()
            self._rebalance()

    async def leave(self, member: MemoryConsumer) -> None:
        """Let *member* go; the last one waits until nothing of the group runs any more."""
        self.drop(member)
        if not self._members and self._draining is not None:
            self._draining.cancel()
            await asyncio.wait([self._draining])

    def _rebalance(self) -> None:
        if self._draining is not None:
            return
        holders = [member for member in self._members if member.holds]
        if holders:
            loop = asyncio.get_running_loop()
            self._draining = loop.create_task(_release(holders), name=f"rebalance {self.name}")
            # Not in the task, as one that is cancelled before its first step runs none of its code.
            self._draining.add_done_callback(lambda _: self._drained(holders))
        else:
            self._deal()

    def _drained(self, holders: list[MemoryConsumer]) -> None:
        self._draining = None
        for member in holders:
            member.lose()
        self._deal()

    def _deal(self) -> None:
        epoch = next(self._epochs)
        dealt: list[list[Place]] = [[] for _ in self._members]
        turn = 0
        for topic, places in self._topics.items():
            readers = [
                share
                for member, share in zip(self._members, dealt, strict=True)
                if topic in member.topics
            ]
            if readers:
                for place in places:
                    readers[turn % len(readers)].append(place)
                    turn += 1
        for member, share in zip(self._members, dealt, strict=True):
            member.assign(share, epoch)


async def _release(holders: list[MemoryConsumer]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for member in holders:
            tasks.create_task(member.release(), name="revoke")

"""The coordinator of one consumer group in a simulated broker: members, generations, commits.

Theory of operation.  The eager protocol: every change takes all streams from all members and deals
them out anew.  Members are asked first and may finish; one that is silent for as long as a session
lasts is expelled unasked, as is one that is evicted, which hears of it late: then it still works on
streams that are another's, and only the generation of its commits tells the coordinator.  As does
Kafka's, it asks who commits and not for which streams, and takes anything of anybody who names no
generation while there is no member: it is for members to commit in the one they handled in.
"""

import asyncio
from collections.abc import Iterator
from typing import Literal, Protocol

from choreo.testing.simulation.history import Entry, History
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.log import Log, Partition
from choreo.testing.simulation.wire import Conditions

Place = tuple[int, str]
"""First position that is not settled, and what is settled above it, as a Watermark writes it."""
Order = Literal["revoke", "assign", "expelled", "lost", "found"]

NOBODY = -1
"""The generation that a client outside of any group names in its commits."""
SESSION = 6.0
"""Seconds after which a silent member is taken for dead."""
DRAINING = 30.0
"""Seconds that members have for finishing, at most."""


class Member(Protocol):
    """A consumer, as its coordinator sees it."""

    host: Host
    topics: tuple[str, ...]

    def order(self, what: Order, epoch: int, places: dict[str, tuple[Partition, Place]], /) -> None:
        """Hear what is to be done next."""
        ...

    def wake(self) -> None:
        """Hear that there may be more to read."""
        ...


class Group:
    """One group."""

    def __init__(
        self, name: str, log: Log, conditions: Conditions, history: History, epochs: Iterator[int]
    ) -> None:
        self.name = name
        self._log = log
        self._conditions = conditions
        self._history = history
        self._epochs = epochs
        self.committed: dict[str, Place] = {}
        self.members: list[Member] = []
        self._shares: dict[int, tuple[int, tuple[str, ...]]] = {}
        """Of each member, by its identity: generation and streams."""
        self._revoking: dict[int, asyncio.Future[None]] = {}
        self._work: asyncio.Task[None] | None = None
        self._changed = False
        self.topics: dict[str, None] = {}

    def join(self, member: Member) -> None:
        """Take *member* in."""
        self.members.append(member)
        self.topics |= dict.fromkeys(member.topics)
        self.rebalance()

    def leave(self, member: Member) -> None:
        """Let *member* go."""
        if member in self.members:
            self.members.remove(member)
            self._forget(member)
            self.rebalance()

    def silent(self, host: Host) -> None:
        """Expel the members of *host* once a session is over, unless it speaks again by then."""
        silence = host.silence

        def expel() -> None:
            if host.silence == silence:
                for member in [one for one in self.members if one.host is host]:
                    self._expel(member, 0.0)

        self._conditions.later(SESSION, expel)

    def evict(self, host: Host, unheard: float) -> bool:
        """Take everything from the members of *host*, who hear of it after a while."""
        evicted = [one for one in self.members if one.host is host]
        for member in evicted:
            self._expel(member, unheard)
        return bool(evicted)

    def disband(self, unheard: float) -> None:
        """Give up all members at once, who hear of it by and by."""
        for member in list(self.members):
            self._expel(member, unheard * self._conditions.chance("disband"))

    def revoked(self, member: Member) -> None:
        """Hear that *member* has finished with its streams."""
        waiting = self._revoking.pop(id(member), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def rebalance(self) -> None:
        """Deal all streams anew, now or after what is under way."""
        self._changed = True
        if self._work is None:
            self._work = self._conditions.spawn(self._rebalance(), f"rebalance {self.name}")

    async def commit(self, member: Member, epoch: int, places: dict[str, Place]) -> bool:
        """Keep *places*; False, and nothing is kept, if *epoch* is not this member's any more."""
        if epoch != self.generation(member) or (epoch == NOBODY and self.members):
            return False
        for stream, place in places.items():
            self.committed[stream] = place
            self._note("committed", member, stream, place[0])
        return True

    def generation(self, member: Member) -> int:
        """Tell in which generation *member* has its streams; NOBODY if it has none."""
        return self._shares.get(id(member), (NOBODY, ()))[0]

    def lag(self) -> int:
        """Count the records that nobody has settled."""
        return sum(
            partition.end - self.committed.get(partition.stream, (0, ""))[0]
            for topic in self.topics
            for partition in self._log.topic(topic)
        )

    async def _rebalance(self) -> None:
        while self._changed:
            self._changed = False
            holders = [member for member in self.members if self._shares.get(id(member))]
            waiting = {id(member): self._conditions.loop.create_future() for member in holders}
            self._revoking.update(waiting)
            for member in holders:
                member.order("revoke", 0, {})
            over = self._conditions.loop.call_later(DRAINING, self._cut_short, holders)
            for one in waiting.values():
                await one
            over.cancel()
            for member in holders:
                self._forget(member)
        self._work = None
        self._deal()

    def _cut_short(self, holders: list[Member]) -> None:
        for member in holders:
            if id(member) in self._revoking:
                self._expel(member, 0.0)

    def _expel(self, member: Member, unheard: float) -> None:
        if member not in self.members:
            return
        self.members.remove(member)
        self._forget(member)
        self._conditions.later(unheard, lambda: member.order("expelled", 0, {}))
        self.rebalance()

    def _forget(self, member: Member) -> None:
        self._shares.pop(id(member), None)
        self.revoked(member)

    def _deal(self) -> None:
        epoch = next(self._epochs)
        dealt: list[dict[str, tuple[Partition, Place]]] = [{} for _ in self.members]
        turn = 0
        for topic in self.topics:
            readers = [
                share
                for member, share in zip(self.members, dealt, strict=True)
                if topic in member.topics
            ]
            for partition in self._log.topic(topic) if readers else ():
                place = self.committed.get(partition.stream, (0, ""))
                readers[turn % len(readers)][partition.stream] = (partition, place)
                turn += 1
        for member, share in zip(self.members, dealt, strict=True):
            self._shares[id(member)] = (epoch, tuple(share))
            member.order("assign", epoch, share)
            for stream in share:
                self._note("assigned", member, stream, share[stream][1][0])

    def _note(
        self, kind: Literal["committed", "assigned"], member: Member, stream: str, position: int
    ) -> None:
        self._history.add(
            Entry(
                at=self._conditions.loop.time(),
                kind=kind,
                host=str(member.host),
                service=self.name,
                stream=stream,
                position=position,
            )
        )

"""Turns in a transaction that handlers share: one after the other, none while another has its own.

Theory of operation.  Those for whom nothing has to be said beforehand are called together.  They
wake in one turn of the event loop, each finds the place free and goes on at once, and has left it
before the next one wakes, unless it waits for something: then the others wait until it has left,
and are asked in one by one.  So handlers that wait for nothing cost the loop next to no turns.  Who
leaves asks the next one in by itself, unless the database has to be told something in between,
which is done by the task that gives the turns.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from choreo.errors import StoreError
from choreo.store.port import End, Verdict
from choreo_sql.claiming import Claimed, Row, take_over
from choreo_sql.connections import Connections
from choreo_sql.link import Link
from choreo_sql.member import Member
from choreo_sql.settings import shown

Called = tuple[Member, Claimed]


class Recorder(Protocol):
    """Who writes what a member ends with."""

    async def record(self, member: Member, end: End, /) -> Verdict:
        """Write *end*, or see to it that it is written before the commit."""
        ...


class Turns:
    """The turns of one transaction; it is open, and the claims were made."""

    def __init__(
        self, connections: Connections, link: Link, recorder: Recorder, *, span: float, shared: bool
    ) -> None:
        """Give none to anybody new when *span* seconds are over."""
        self._connections = connections
        self._link = link
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._span = span
        self._end = 0.0
        self._recorder = recorder
        self.done: list[Member] = []
        self.undone: list[Claimed] = []
        self.again: list[Member] = []
        """Those that had none, and wait for the next transaction."""
        self.count = 0
        """How many had one."""
        self.late = False
        """The time was over before all had one."""
        self.ended = False
        self.said = True
        """Something was said since the savepoint."""
        self._spoilt = False
        """It must be undone."""
        self._line: deque[Member] = deque()
        """Those that were called, and have not left; whoever has its turn is the first."""
        self._free = False
        """The first may have its turn."""
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._fault: StoreError | None = None

    async def give(self, called: Iterable[Called]) -> None:
        """Give each a turn, in this order, or tell it why not."""
        self._end = self._loop.time() + self._span
        line: list[Called] = []
        for member, claimed in called:
            verdict = claimed.answer.verdict
            if verdict is not Verdict.WRITTEN:
                member.judged(verdict)
                self.undone.append(claimed)
            elif claimed.there:
                await self._give(line)
                line = []
                await self._give([(member, claimed)], claimed.there)
            else:
                line.append((member, claimed))
        await self._give(line)

    def end(self) -> None:
        """Have those that were called, and did not have their turn, wait once more."""
        self.ended = True
        for member in self._line:
            if not member.began:
                member.put_off()
        self._line.clear()

    async def still(self) -> None:
        """Raise StoreError unless the transaction is open, and can be committed."""
        if not self._link.sound or not await self._link.whole(spoke=True):
            where = shown(self._connections.url)
            raise StoreError(f"store {where}: the transaction was lost; it is tried again")

    # ── as members have it ────────────────────────────────────────────────────────────────────

    async def enter(self, member: Member) -> bool:
        """Wait until it is the turn of *member*, which was called; False if it has none here."""
        while not (self._free and self._line and self._line[0] is member):
            if self.ended or member not in self._line or not await member.turn():
                return False
        self._free = False
        if self._is_late():
            self._tell()
            return await member.turn()  # which is put off
        self.count += 1
        member.begin(self._link)
        return True

    async def record(self, member: Member, end: End) -> Verdict:
        """Write *end*, or see to it that it is written before the commit."""
        return await self._recorder.record(member, end)

    def left(self, member: Member) -> None:
        """Hear that *member* wants nothing more."""
        if member not in self._line:
            return
        self._line.remove(member)
        if member.began:
            self._finished(member)
        else:
            self.undone.append(member.claimed)
            self._spoilt = self._spoilt or bool(member.claimed.there)
            if not self._free:
                return  # another one has its turn, or is to be asked in by ``_give``
        at_once = not (self._spoilt or self._fault or (self.said and not self._mark()))
        if at_once and self._line:
            self._ask_in()
        else:
            self._tell()

    # ── between them ──────────────────────────────────────────────────────────────────────────

    async def _give(self, line: Sequence[Called], taken: Sequence[Row] = ()) -> None:
        """Give turns to those for whom no row but those of *taken* was there before."""
        if line and not self._is_late():
            await self._prepare(taken)
            self._spoilt = bool(taken) and line[0][0].gone
        for member, claimed in line:
            if member.gone or self.late:
                self.undone.append(claimed)
                self.again += [] if member.gone else [member]
            else:
                self._line.append(member)
                member.call(self, claimed)
        while self._line:
            self._over = self._loop.create_future()
            self._ask_in()
            await self._over
            if self._fault is not None:
                raise self._fault
            if self.late:
                self._spoilt = self._spoilt or bool(taken)  # whose time was over when it came
                self._put_off()
            elif self._line:
                await self._prepare(())
        if self._spoilt:
            await self._undo()

    async def _prepare(self, taken: Sequence[Row]) -> None:
        """Have the next one begin at a savepoint, with the rows of *taken* its own."""
        if self._spoilt:
            await self._undo()
        if self.said or taken:
            async with self._connections.own():
                if self._shared:
                    await self._link.mark()
                await take_over(self._link.own, taken)
        self.said = bool(taken)

    async def _undo(self) -> None:
        self._spoilt = False
        if self._shared:
            async with self._connections.own():
                await self.still()
                await self._link.back()

    def _mark(self) -> bool:
        """Set a savepoint, if that needs nobody to wait; say whether it did."""
        self.said = not (self._shared and self._link.sound and self._link.mark_at_once())
        return not self.said

    def _ask_in(self) -> None:
        self._free = True
        self._line[0].come()

    def _tell(self) -> None:
        """Have ``_give`` see to what comes next."""
        if not self._over.done():
            self._over.set_result(None)

    def _put_off(self) -> None:
        for member in self._line:
            self.undone.append(member.claimed)
            self.again.append(member)
            member.put_off()
        self._line.clear()

    def _finished(self, member: Member) -> None:
        self.said = self.said or not member.silent
        if member.completed:
            self.done.append(member)
            return
        self.undone.append(member.claimed)
        self._spoilt = self.said
        if member.sealed:  # its savepoint is gone, and so is the way back
            where = shown(self._connections.url)
            text = f"store {where}: a handler left too late; it is tried again"
            self._fault = StoreError(text)

    def _is_late(self) -> bool:
        self.late = self.late or (self.count > 0 and self._loop.time() > self._end)
        return self.late

"""Handlers of several events in one transaction, one after the other, each in a savepoint.

Theory of operation.  Who finds a connection free begins at once.  Who would have to wait for one
shares the next with all others that wait: their claims are one statement, their emissions another,
and one COMMIT ends them all.  Each has the connection for itself in its turn; one that fails is
rolled back to its savepoint, and the row of its claim is taken away again.  Nobody is told of an
end before the commit.  What is refused or lost for all is told to each, and each is then tried
again in a transaction of its own, so that one that spoils the others is found out by that.

A transaction lets nobody else have a turn once it is ``SPAN`` old: who had none waits for the next,
which is to be smaller.  So handlers that take long, as those do that wait for the network, soon
have transactions of their own.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from choreo.errors import StoreError
from choreo.store.port import Claim, Key
from choreo_sql.connections import Connections
from choreo_sql.link import Link
from choreo_sql.member import Member
from choreo_sql.run import Run
from choreo_sql.scopes import Scopes

SPAN = 0.1
"""Seconds after which nobody else gets a turn in the transaction."""
LEAVING = 1.0
"""Seconds that whoever is at it is given as the store closes."""
SUSPECTS = 10_000
"""Most keys that are remembered for having been in a transaction that was lost."""


class Sharing:
    """The transactions of one service's handlers, where several events may share one."""

    def __init__(self, connections: Connections, scopes: Scopes) -> None:
        self._connections = connections
        self._scopes = scopes
        self._size = connections.together
        self._waiting: deque[Member] = deque()
        self._serving: set[asyncio.Task[None] | None] = set()
        self._starting = 0
        self._alone: set[Key] = set()

    def effect(self, claim: Claim) -> Member:
        """Make what waits for its turn when it is entered."""
        return Member(claim, self)

    def join(self, member: Member) -> None:
        """Let *member* wait for its turn, and see to it that it comes."""
        self._waiting.append(member)
        many = len(self._waiting) > self._starting * self._size
        if many and len(self._serving) < self._connections.handlers:
            self._starting += 1
            task = asyncio.create_task(self._serve(), name="store-handlers")
            self._serving.add(task)

    def suspect(self, key: Key) -> None:
        """Give *key* a transaction of its own when it comes again."""
        if len(self._alone) >= SUSPECTS:
            self._alone.clear()
        self._alone.add(key)

    async def close(self) -> None:
        """Return when no handler is in a transaction any more, or one has stayed for too long."""
        serving = [task for task in self._serving if task is not None]
        if serving:
            _, late = await asyncio.wait(serving, timeout=LEAVING)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _serve(self) -> None:
        starting = 1
        try:
            while self._waiting:
                async with self._connections.handling() as link:
                    self._starting -= starting
                    starting = 0
                    await self._run(link)
        except StoreError as error:
            self._refuse(error)  # each would find out by itself
        # A bug must reach those who wait; and who is cancelled here leaves nobody behind.
        except BaseException as error:
            self._refuse(error if isinstance(error, Exception) else StoreError("the store closes"))
            raise
        finally:
            self._starting -= starting
            # At once: whoever joins in the same turn of the loop must not count on this one.
            self._serving.discard(asyncio.current_task())

    async def _run(self, link: Link) -> None:
        await self._gather()
        members = self._next()
        if members:
            run = Run(self._connections, self._scopes, link, members, SPAN)
            again = await run.through()
            self._resize(run, len(members))
            self._waiting.extendleft(reversed(again))

    async def _gather(self) -> None:
        """Let those come who are on their way: the loop turns while it brings more of them."""
        before = 0
        while before < len(self._waiting) < self._size:
            before = len(self._waiting)
            await asyncio.sleep(0)

    def _next(self) -> Sequence[Member]:
        """Take who waits, none of whom want the same row; or one that is to be alone."""
        members: list[Member] = []
        left: list[Member] = []
        seen: set[object] = set()
        while self._waiting and len(members) < self._size:
            member = self._waiting.popleft()
            if member.gone:
                continue
            alone = member.claim.key in self._alone
            if alone and members:
                self._waiting.appendleft(member)
                break
            member.want(self._scopes)
            rows = {row.key for row in member.wanted}
            if rows & seen:
                left.append(member)
                continue
            seen |= rows
            members.append(member)
            if alone:
                self._alone.discard(member.claim.key)
                break
        self._waiting.extendleft(reversed(left))
        return members

    def _resize(self, run: Run, size: int) -> None:
        if run.late:
            self._size = max(1, run.turns)
        elif size >= self._size:
            self._size = min(self._connections.together, self._size + 1 + self._size // 8)

    def _refuse(self, error: BaseException) -> None:
        """Tell all that wait that there is no turn for them."""
        while self._waiting:
            self._waiting.popleft().refuse(error)

"""One transaction that several events share, from its begin to its commit."""

from collections.abc import Sequence
from itertools import zip_longest
from operator import itemgetter

from choreo.errors import StoreError
from choreo.failpoints import reached
from choreo.store.outbox import Emission
from choreo.store.port import End, State, Verdict
from choreo_sql import outbox
from choreo_sql.claiming import Claimed, begin, bury, give_up
from choreo_sql.connections import Connections
from choreo_sql.effect import ABORTED, SWALLOWED
from choreo_sql.failures import code, of_constraint, of_one
from choreo_sql.finishing import record
from choreo_sql.link import IN_HAND, Link, Statement
from choreo_sql.member import Member
from choreo_sql.scopes import Scopes
from choreo_sql.settings import shown
from choreo_sql.transaction import TransactionMisused
from choreo_sql.turns import Turns


class Run:
    """Takes members through one transaction of *link*, which is in none."""

    def __init__(
        self,
        connections: Connections,
        scopes: Scopes,
        link: Link,
        members: Sequence[Member],
        span: float,
    ) -> None:
        self._connections = connections
        self._scopes = scopes
        self._link = link
        self._members = members
        self._alone = len(members) == 1
        self._claimed = False
        self._turns = Turns(connections, link, self, span=span, shared=not self._alone)

    @property
    def turns(self) -> int:
        """How many had one."""
        return self._turns.count

    @property
    def late(self) -> bool:
        """The time was over before all had one."""
        return self._turns.late

    async def through(self) -> Sequence[Member]:
        """Give turns, and commit; return those that had none, and wait for the next time."""
        try:
            claimed = await self._claim()
            self._claimed = True
            await self._turns.give(zip(self._members, claimed, strict=True))
            if self._turns.done:
                await self._commit()
        except StoreError as error:
            return self._lose(error)
        except BaseException as error:
            given_up = StoreError(f"{self._where}: a transaction was given up; it is tried again")
            for member in self._lose(given_up):
                member.refuse(error if isinstance(error, Exception) else given_up)
            raise
        finally:
            self._link.info.pop(IN_HAND, None)  # where this was cut short in the midst of a turn
        for member in self._turns.done:
            member.committed()
        return self._turns.again

    async def record(self, member: Member, end: End, /) -> Verdict:
        """Write what concerns the member alone at once, in its savepoint; the rest with others."""
        if self._turns.ended:
            raise StoreError(f"{self._where}: the transaction was given up; it is tried again")
        if not self._alone and member.silent and end.state is State.DONE and _plain(end):
            member.emitted, member.later = end.emitted, member.transaction.put_off()
            return Verdict.WRITTEN
        spoke = await member.transaction.say_later()
        try:
            async with self._connections.own():
                verdict = await self._record(end)
                if verdict is not Verdict.WRITTEN:
                    return verdict
                if self._alone:
                    await self._emit(end.emitted)
                else:
                    await self._link.seal()
                    member.sealed = True
                spoke = spoke or not self._alone or bool(end.emitted) or not _plain(end)
                whole = await self._link.whole(spoke=spoke)
        except StoreError as error:
            if code(error) == ABORTED:
                # A StoreError among the causes would speak of the store's absence.
                raise TransactionMisused(SWALLOWED) from error.__cause__
            raise
        if not whole:
            raise TransactionMisused(SWALLOWED)
        if not self._alone:
            member.emitted = end.emitted
        return verdict

    async def _emit(self, emitted: Sequence[Emission]) -> None:
        if emitted and not await outbox.insert_plain(self._link, self._scopes, emitted):
            await outbox.insert(self._link.own, self._scopes, emitted)

    async def _record(self, end: End) -> Verdict:
        if end.state is State.DEAD:
            await bury(self._link.own, self._scopes, end.claim)
        if _plain(end):
            return Verdict.WRITTEN
        own = End(claim=end.claim, state=end.state, advance=end.advance, parked=end.parked)
        refused = await record(self._link.own, self._scopes, [own])
        return refused.get(0, Verdict.WRITTEN)

    async def _claim(self) -> Sequence[Claimed]:
        async with self._connections.own():
            return await begin(self._link, [member.wanted for member in self._members])

    async def _say_later(self) -> None:
        """Execute what handlers put off, together; one by one if that is refused."""
        later = [member for member in self._turns.done if member.later]
        if not later:
            return
        async with self._connections.own():
            await self._turns.still()
            if self._turns.said:
                await self._link.mark()
        try:
            await self._link.ask_all(_in_turn([member.later for member in later]))
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 -- whatever the driver raises: whose it is will be found
            async with self._connections.own():
                await self._turns.still()
                await self._link.back()
            for member in later:
                await self._say_alone(member)

    async def _say_alone(self, member: Member) -> None:
        async with self._connections.own():
            await self._link.mark()
        try:
            await self._link.ask_all(member.later)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- as above: it is the handler's failure
            async with self._connections.own():
                await self._turns.still()
                await self._link.back()
            self._turns.done.remove(member)
            self._turns.undone.append(member.claimed)
            member.failed(error)
            return
        async with self._connections.own():
            await self._link.seal()

    async def _commit(self) -> None:
        await self._say_later()
        emitted = [emission for member in self._turns.done for emission in member.emitted]
        async with self._connections.own():
            await self._turns.still()
            await give_up(self._link.own, self._turns.undone)
            reached("recorded")
            if not await outbox.commit_with(self._link, self._scopes, emitted):
                raise StoreError(f"{self._where}: it rolled back; it is tried again")

    def _lose(self, error: StoreError) -> Sequence[Member]:
        """Tell who has ended; return who has not had a turn, unless the store is away."""
        self._turns.end()
        told: BaseException = error
        if of_constraint(error) and error.__cause__ is not None and self._alone:
            told = error.__cause__  # put off until the commit: the handler's doing
        for member in self._turns.done:
            member.lost(told, alone=self._alone)
        waiting = [member for member in self._members if not member.gone]
        if self._alone or not (self._claimed or of_one(error)):
            for member in waiting:
                member.refuse(error)
            return ()
        for member in waiting:
            member.suspected()
        return waiting

    @property
    def _where(self) -> str:
        return f"store {shown(self._connections.url)}"


def _plain(end: End) -> bool:
    """Say whether nothing but the event itself ends with it."""
    return end.advance is None and end.parked is None


def _in_turn(lists: Sequence[Sequence[Statement]]) -> Sequence[Statement]:
    """Take the first of each, then the second, equal texts side by side."""
    return [
        statement
        for stage in zip_longest(*lists)
        for statement in sorted(filter(None, stage), key=itemgetter(0))
    ]

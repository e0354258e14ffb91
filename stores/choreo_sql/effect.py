"""A handler's transaction: claimed first, completed last, committed whole or not at all."""

from types import TracebackType

from choreo.errors import StoreError
from choreo.failpoints import reached
from choreo.store.port import Claim, End, State, Verdict
from choreo_sql import outbox
from choreo_sql.claiming import Wish, begin, bury, rows_of, take_over
from choreo_sql.connections import Connections
from choreo_sql.failures import code, of_constraint
from choreo_sql.finishing import record
from choreo_sql.link import Link
from choreo_sql.scopes import Scopes
from choreo_sql.settings import shown
from choreo_sql.transaction import SqlTransaction, TransactionMisused

ABORTED = "25P02"
"""SQLSTATE of whatever is said in a transaction after a statement failed in it."""
SWALLOWED = (
    "a statement of the handler failed, so that nothing of its transaction can be committed; where "
    "that may happen, do it in a savepoint: async with connection.begin_nested()"
)


class SqlEffect:
    """One open transaction in which a handler runs."""

    def __init__(self, connections: Connections, scopes: Scopes, link: Link) -> None:
        self._connections = connections
        self._scopes = scopes
        self._link = link
        self._completed = False
        self._own = connections.own()
        """Bounds what is said for it, one statement after the other."""
        self.verdict = Verdict.BUSY
        self.transaction = SqlTransaction(link)

    async def claim(self, claim: Claim) -> None:
        """Begin, and claim; what stands against it is the verdict."""
        rows = rows_of(Wish(claim=claim, state=State.DONE), self._scopes)
        async with self._own:
            (claimed,) = await begin(self._link, [rows])
            if claimed.there:
                await take_over(self._link.own, claimed.there)
        self.verdict = claimed.answer.verdict

    async def complete(self, end: End, /) -> Verdict:
        """Write *end*; raise what the handler's own unwritten changes meet with."""
        await self.transaction.flush()
        spoke = await self.transaction.say_later()
        try:
            async with self._own:
                refused = await self._record(end, spoke=spoke)
        except StoreError as error:
            if code(error) == ABORTED:
                # A StoreError among the causes would speak of the store's absence.
                raise TransactionMisused(SWALLOWED) from error.__cause__
            raise
        reached("recorded")
        self._completed = not refused
        return refused.get(0, Verdict.WRITTEN)

    async def leave(self, *, well: bool) -> None:
        """Commit what was completed, if the handler left *well*."""
        ours = self.transaction.ours and self._link.sound
        await self.transaction.close()
        if not well or not self._completed:
            return
        if not ours:
            raise StoreError(f"store {self._where}: the connection was lost; it is tried again")
        try:
            async with self._own:
                committed = await self._link.commit()
        except StoreError as error:
            # A constraint that was put off until now: the handler's doing, not the store's absence.
            if of_constraint(error) and error.__cause__ is not None:
                raise error.__cause__ from None
            raise
        if not committed:
            raise StoreError(f"store {self._where}: it rolled back; it is tried again")

    async def _record(self, end: End, *, spoke: bool) -> dict[int, Verdict]:
        if end.state is State.DEAD:
            await bury(self._link.own, self._scopes, end.claim)
        spoke, refused = (
            bool(spoke or end.emitted or end.advance or end.parked),
            dict[int, Verdict](),
        )
        plain = end.advance is None and end.parked is None
        if not plain or not await outbox.insert_plain(self._link, self._scopes, end.emitted):
            refused = await record(self._link.own, self._scopes, [end])
        if not await self._link.whole(spoke=spoke):
            raise TransactionMisused(SWALLOWED)
        return refused

    @property
    def _where(self) -> str:
        return shown(self._connections.url)


class Opening:
    """Opens a transaction, claims in it, and commits what was completed in it."""

    def __init__(self, connections: Connections, scopes: Scopes, claim: Claim) -> None:
        self._connections = connections
        self._scopes = scopes
        self._claim = claim
        self._loan = connections.handling()
        self._effect: SqlEffect | None = None

    async def __aenter__(self) -> SqlEffect:
        """Open it, and claim."""
        link = await self._loan.__aenter__()
        try:
            opened = self._effect = SqlEffect(self._connections, self._scopes, link)
            await opened.claim(self._claim)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return opened

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit what was completed; roll back what was not."""
        try:
            if self._effect is not None:
                await self._effect.leave(well=error is None)
        finally:
            await self._loan.__aexit__(kind, error, traceback)

"""A handler's transaction: claimed first, completed last, committed whole or not at all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction

from choreo.errors import StoreError
from choreo.store.port import Claim, End, State, Verdict
from choreo_sql.claiming import Wish, bury, take
from choreo_sql.connections import Connections
from choreo_sql.engines import alive
from choreo_sql.failures import code
from choreo_sql.finishing import record
from choreo_sql.scopes import Scopes
from choreo_sql.settings import shown
from choreo_sql.transaction import IN_HAND, SqlTransaction, TransactionMisused

ABORTED = "25P02"
"""SQLSTATE of whatever is said in a transaction after a statement failed in it."""
SWALLOWED = (
    "a statement of the handler failed, so that nothing of its transaction can be committed; where "
    "that may happen, do it in a savepoint: async with connection.begin_nested()"
)


class SqlEffect:
    """One open transaction in which a handler runs."""

    def __init__(
        self, connections: Connections, scopes: Scopes, connection: AsyncConnection
    ) -> None:
        self._connections = connections
        self._scopes = scopes
        self._connection = connection
        self._root: AsyncTransaction | None = None
        self._completed = False
        self.verdict = Verdict.BUSY
        self.transaction = SqlTransaction(connection)

    async def claim(self, claim: Claim) -> None:
        """Begin, and claim; what stands against it is the verdict."""
        async with self._connections.own():
            self._root = await self._connection.begin()
            wish = Wish(claim=claim, state=State.DONE)
            (answer,) = await take(self._connection, self._scopes, [wish])
        self.verdict = answer.verdict
        if self.verdict is Verdict.WRITTEN:
            self._connection.info[IN_HAND] = self.transaction

    async def complete(self, end: End, /) -> Verdict:
        """Write *end*; raise what the handler's own unwritten changes meet with."""
        self._check_ours()
        await self.transaction.flush()
        self._check_ours()
        try:
            async with self._connections.own():
                if end.state is State.DEAD:
                    await bury(self._connection, self._scopes, end.claim)
                refused = await record(self._connection, self._scopes, [end])
                spoke = bool(end.emitted or end.advance or end.parked)
                if not await alive(self._connection, spoke=spoke):
                    raise TransactionMisused(SWALLOWED)
        except StoreError as error:
            if code(error) == ABORTED:
                # A StoreError among the causes would speak of the store's absence.
                raise TransactionMisused(SWALLOWED) from error.__cause__
            raise
        self._completed = not refused
        return refused.get(0, Verdict.WRITTEN)

    async def leave(self, *, well: bool) -> None:
        """Commit what was completed, if the handler left *well*; else roll back."""
        root = self._root
        if root is None:
            return
        ours = root.is_active and not self._connection.invalidated
        try:
            await self.transaction.close()
        finally:
            if ours:
                self._connection.info.pop(IN_HAND, None)
            elif not self._connection.invalidated:
                # SQLAlchemy holds it for rolled back, and the database does not know of that.
                await self._connection.invalidate()
        if well and self._completed:
            if not ours:
                where = shown(self._connections.url)
                raise StoreError(f"store {where}: the connection was lost; it is tried again")
            async with self._connections.own():
                await root.commit()

    def _check_ours(self) -> None:
        """Make sure that the transaction is still the one that was begun."""
        if self._root is None or not self._root.is_active:
            raise TransactionMisused("the handler has ended a transaction that is choreo's to end")


@asynccontextmanager
async def effect(
    connections: Connections, scopes: Scopes, claim: Claim
) -> AsyncGenerator[SqlEffect]:
    """Open a transaction, claim in it, and commit what was completed in it."""
    async with connections.handling() as connection:
        opened = SqlEffect(connections, scopes, connection)
        well = False
        try:
            await opened.claim(claim)
            yield opened
            well = True
        finally:
            await opened.leave(well=well)

"""A handler's transaction: claimed first, completed last, committed whole or not at all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction

from choreo.failpoints import reached
from choreo.store.port import Claim, End, State, Verdict
from choreo_sql.claiming import Wish, bury, take
from choreo_sql.connections import Connections
from choreo_sql.failures import telling
from choreo_sql.finishing import record
from choreo_sql.scopes import Scopes
from choreo_sql.transaction import IN_HAND, SqlTransaction, TransactionMisused


class SqlEffect:
    """One open transaction in which a handler runs."""

    def __init__(
        self,
        connections: Connections,
        scopes: Scopes,
        connection: AsyncConnection,
        claim: Claim,
    ) -> None:
        self._connections = connections
        self._scopes = scopes
        self._connection = connection
        self._claim = claim
        self._root: AsyncTransaction | None = None
        self.verdict = Verdict.BUSY
        self.completed = False
        self.transaction = SqlTransaction(connection)

    async def claim(self) -> None:
        """Begin, and claim; what stands against it is the verdict."""
        async with telling(self._connections.url):
            self._root = await self._connection.begin()
            wish = Wish(claim=self._claim, state=State.DONE)
            (answer,) = await take(self._connection, self._scopes, [wish])
        self.verdict = answer.verdict
        if self.verdict is Verdict.WRITTEN:
            self._connection.info[IN_HAND] = self.transaction

    async def complete(self, end: End, /) -> Verdict:
        """Write *end*; raise what the handler's own unwritten changes meet with."""
        await self.transaction.flush()
        self._check()
        async with telling(self._connections.url):
            if end.state is State.DEAD:
                await bury(self._connection, self._scopes, end.claim)
            refused = await record(self._connection, self._scopes, [end])
            reached("recorded")
            # PostgreSQL takes a COMMIT after a failed statement for a ROLLBACK, without a word.
            await self._connection.execute(text("SELECT 1"))
        self.completed = not refused
        return refused.get(0, Verdict.WRITTEN)

    async def leave(self, *, commit: bool) -> None:
        """Commit or roll back."""
        self._connection.info.pop(IN_HAND, None)
        await self.transaction.close()
        if commit and self._root is not None:
            async with telling(self._connections.url):
                await self._root.commit()

    def _check(self) -> None:
        """Make sure that the transaction is still the one that was begun."""
        if self._root is None or not self._root.is_active:
            raise TransactionMisused("the handler's transaction was ended before the handler")


@asynccontextmanager
async def effect(
    connections: Connections, scopes: Scopes, claim: Claim
) -> AsyncGenerator[SqlEffect]:
    """Open a transaction, claim in it, and commit what was completed in it."""
    async with connections.handling() as connection:
        opened = SqlEffect(connections, scopes, connection, claim)
        commit = False
        try:
            await opened.claim()
            yield opened
            commit = opened.completed
        finally:
            await opened.leave(commit=commit)

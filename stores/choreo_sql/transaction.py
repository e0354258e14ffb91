"""What a handler gets of a SQL store: the transaction of its own event, which only choreo ends."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import event
from sqlalchemy.engine import Connection, RootTransaction
from sqlalchemy.exc import ResourceClosedError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from choreo.errors import ChoreoError
from choreo_sql.carried import close
from choreo_sql.link import IN_HAND, Link, Statement
from choreo_sql.shared import Own

ENDS = re.compile(
    r"(?:\s|;|--[^\n]*|/\*.*?\*/)*+"
    r"(?:COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b",
    re.IGNORECASE | re.DOTALL,
)
"""Statements that begin or end a transaction; ROLLBACK TO a savepoint does not."""


class TransactionMisused(ChoreoError):
    """A handler ended, or tried to end, the transaction that is choreo's to end."""


MISUSED = (
    "the handler's transaction is committed by choreo when the handler returns, and rolled back "
    "when it raises: leave out commit() and rollback(), or use transaction.session() or a "
    "savepoint, connection.begin_nested()"
)


class SqlTransaction:
    """The transaction in which an event's effect is written, whole or not at all.

    It is committed together with the event's end and all that was emitted when the handler has
    returned, and rolled back when it raises.
    """

    asynchronous: ClassVar[bool] = True
    """It can be used in the event loop only: plain functions, which run in threads, get none."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._connection: AsyncConnection | None = None
        self._root: RootTransaction | None = None
        self._sessions: list[AsyncSession] = []
        self._later: list[Statement] = []
        self._closed = False
        self.spoke = False
        """Something was, or may have been, said on the connection."""

    @property
    def connection(self) -> AsyncConnection:
        """The very connection on which choreo writes too; savepoints on it are the handler's."""
        if self._connection is None:
            self._check_open()
            self.spoke = True
            # It takes a tenth of an event's time: who only executes texts does without.
            self._connection, self._root = self._link.opened()
            self._link.info[IN_HAND] = self
        return self._connection

    async def execute(
        self, statement: str, parameters: Mapping[str, object] | None = None
    ) -> Sequence[Sequence[Any]]:
        """Execute a text on the driver itself, at a third of SQLAlchemy's price; return its rows.

        ``:name`` stands for a value, as in SQLAlchemy's ``text()``; values are what the driver
        takes, and what it raises is raised as it is, unless the database is absent. One after the
        other: on PostgreSQL the driver refuses a second statement before the first has ended.
        Raises ValueError if *parameters* lack a value, TransactionMisused for a text that would end
        the transaction, StoreError if the database is absent.
        """
        one = self._written(statement, parameters)
        self.spoke = True
        return await self._link.ask(one)

    def later(self, statement: str, parameters: Mapping[str, object] | None = None) -> None:
        """Have a text executed, as by ``execute``, when the handler has returned.

        It comes after all that the handler says itself, and what the database has against it is the
        handler's failure; its rows are dropped. Of handlers that share a transaction the texts go
        out together, at a fraction of the price: the first of each handler, then the second.
        Raises at once what ``execute`` raises of the text and its parameters.
        """
        self._later.append(self._written(statement, parameters))

    def put_off(self) -> Sequence[Statement]:
        """Return what is to be executed later, and forget it."""
        later, self._later = self._later, []
        return later

    async def say_later(self) -> bool:
        """Execute what was put off; False if there is nothing."""
        later = self.put_off()
        if later:
            self.spoke = True
            await self._link.ask_all(later)
        return bool(later)

    def _written(self, statement: str, parameters: Mapping[str, object] | None) -> Statement:
        if self._closed:
            self._check_open()
        if ENDS.match(statement):
            raise TransactionMisused(MISUSED)
        return self._link.written(statement, parameters or {})

    def session(self, **options: Any) -> AsyncSession:  # noqa: ANN401 -- AsyncSession's own
        """Make a session for the ORM in this transaction, written when the handler returns.

        Its ``commit()`` and ``rollback()`` end a savepoint: they write out or undo what the session
        did, and the event's effect stays one.
        """
        options.setdefault("expire_on_commit", False)
        session = AsyncSession(
            bind=self.connection, join_transaction_mode="create_savepoint", **options
        )
        self._sessions.append(session)
        return session

    async def flush(self) -> None:
        """Write out what the sessions hold; raise what the database has against it.

        Before and after that the transaction must still be the one that was begun.
        """
        if self._connection is None:
            return
        self._check()
        for session in self._sessions:
            await session.commit()
        self._check()

    def _check(self) -> None:
        if not self.ours:
            raise TransactionMisused("the handler has ended a transaction that is choreo's to end")

    @property
    def ours(self) -> bool:
        """Say whether the transaction is still the one that was begun."""
        return self._root is None or self._root.is_active

    async def close(self) -> None:
        """Let the sessions go, and the connection: nobody executes anything on it any more."""
        self._closed = True
        try:
            for session in self._sessions:
                await session.close()
        finally:
            if self._connection is not None:
                if self._link.info.get(IN_HAND) is self:
                    del self._link.info[IN_HAND]
                close(self._connection)

    def _check_open(self) -> None:
        if self._closed:
            raise ResourceClosedError("the handler whose transaction this was has returned")


def guard(engine: AsyncEngine) -> None:
    """Let nobody but choreo end the transactions that handlers get on *engine*."""

    def refuse(connection: Connection) -> None:
        # One that is cut short has no information any more, and is nobody's.
        if connection.invalidated or isinstance(connection.connection, Own):
            return
        if IN_HAND in connection.info:
            raise TransactionMisused(MISUSED)

    def read(connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if IN_HAND in connection.info and ENDS.match(statement):
            refuse(connection)

    # Without a word SQLAlchemy would begin another one when the handler goes on after all.
    event.listen(engine.sync_engine, "begin", refuse)
    event.listen(engine.sync_engine, "commit", refuse)
    event.listen(engine.sync_engine, "rollback", refuse)
    event.listen(engine.sync_engine, "before_cursor_execute", read)

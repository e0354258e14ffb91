"""What a handler gets of a SQL store: the transaction of its own event, which only choreo ends."""

import re
from typing import Any, ClassVar

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from choreo.errors import ChoreoError

IN_HAND = "choreo_transaction"
"""Name under which a connection knows whose transaction it is in."""
ENDS = re.compile(
    r"\s*(?:COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b",
    re.IGNORECASE,
)
"""Statements that begin or end a transaction; ROLLBACK TO a savepoint does not."""


class TransactionMisused(ChoreoError):
    """A handler ended, or tried to end, the transaction that is choreo's to end."""


class SqlTransaction:
    """The transaction in which an event's effect is written, whole or not at all.

    It is committed together with the event's end and all that was emitted when the handler has
    returned, and rolled back when it raises.
    """

    asynchronous: ClassVar[bool] = True
    """It can be used in the event loop only: plain functions, which run in threads, get none."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._sessions: list[AsyncSession] = []

    @property
    def connection(self) -> AsyncConnection:
        """The very connection on which choreo writes too; savepoints on it are the handler's."""
        return self._connection

    def session(self, **options: Any) -> AsyncSession:  # noqa: ANN401 -- AsyncSession's own
        """Make a session for the ORM in this transaction, written when the handler returns.

        Its ``commit()`` and ``rollback()`` end a savepoint: they write out or undo what the session
        did, and the event's effect stays one.
        """
        options.setdefault("expire_on_commit", False)
        session = AsyncSession(
            bind=self._connection, join_transaction_mode="create_savepoint", **options
        )
        self._sessions.append(session)
        return session

    async def flush(self) -> None:
        """Write out what the sessions hold; raise what the database has against it."""
        for session in self._sessions:
            await session.commit()

    async def close(self) -> None:
        """Let the sessions go."""
        for session in self._sessions:
            await session.close()


def guard(engine: AsyncEngine) -> None:
    """Let nobody but choreo end the transactions that handlers get on *engine*."""

    def refuse(connection: Connection) -> None:
        # One that is cut short has no information any more, and is nobody's.
        if not connection.invalidated and IN_HAND in connection.info:
            raise TransactionMisused(
                "the handler's transaction is committed by choreo when the handler returns, and "
                "rolled back when it raises: leave out commit() and rollback(), or use "
                "transaction.session() or a savepoint, connection.begin_nested()"
            )

    def read(connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if IN_HAND in connection.info and ENDS.match(statement):
            refuse(connection)

    # Without a word SQLAlchemy would begin another one when the handler goes on after all.
    event.listen(engine.sync_engine, "begin", refuse)
    event.listen(engine.sync_engine, "commit", refuse)
    event.listen(engine.sync_engine, "rollback", refuse)
    event.listen(engine.sync_engine, "before_cursor_execute", read)

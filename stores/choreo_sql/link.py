"""One connection for handlers' transactions: choreo speaks to its driver, handlers to SQLAlchemy.

Theory of operation.  SQLAlchemy takes several times as long over a statement as its driver does,
so what choreo itself says for every event is compiled once and said on the driver.  Transactions
are begun and ended there, too; on SQLite what need not answer at once waits for the next turn of
the driver's thread and is done in it.  Every handler gets a connection of SQLAlchemy's of its own,
for which the transaction has begun, and whose commit, rollback and close leave the driver alone.
It is closed when the handler has returned: a task that it left behind finds it closed, and its
options and savepoints are nobody else's.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import URL
from sqlalchemy.engine import Dialect, RootTransaction
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable

from choreo.errors import StoreError
from choreo_sql.settings import shown

Rows = Iterable[Sequence[Any]]
Fetched = Sequence[Sequence[Any]]
Statement = tuple[str, Sequence[object]]
"""A text as the driver takes it, and what stands for its parameters."""
Say = Callable[[Executable, Mapping[str, object]], Awaitable[Rows]]
"""Execute a statement and return its rows: on the driver, or through SQLAlchemy."""

IN_HAND = "choreo_transaction"
"""Name under which a connection knows whose transaction it is in."""


class Link(Protocol):
    """A connection that is lent for one transaction after the other."""

    def opened(self) -> tuple[AsyncConnection, RootTransaction]:
        """Make a handler's connection, within the transaction that was begun, and that."""
        ...

    def written(self, text: str, parameters: Mapping[str, object], /) -> Statement:
        """Write a handler's text down; raise ValueError for one that lacks a value."""
        ...

    async def ask(self, statement: Statement, /) -> Fetched:
        """Execute what a handler says, and return its rows; StoreError if nobody answers."""
        ...

    async def ask_all(self, statements: Sequence[Statement], /) -> None:
        """Execute what handlers say, one after the other, with as few turns as there can be."""
        ...

    @property
    def info(self) -> dict[Any, Any]:
        """What the pool's connection is known by."""
        ...

    @property
    def own(self) -> AsyncConnection:
        """What choreo itself says through SQLAlchemy, within whichever transaction was begun."""
        ...

    async def begin(self) -> None:
        """Begin a transaction."""
        ...

    async def begin_with(self, statement: Executable, parameters: Mapping[str, object], /) -> int:
        """Begin a transaction with an insert that returns rows; tell how many it has made."""
        ...

    async def say(self, statement: Executable, parameters: Mapping[str, object], /) -> Rows:
        """Execute a statement of choreo's own, and return its rows."""
        ...

    async def add(self, statement: Executable, rows: Sequence[Mapping[str, object]], /) -> None:
        """Execute it once for each of *rows*, before the commit at the latest."""
        ...

    async def whole(self, *, spoke: bool) -> bool:
        """Say whether what was written in the transaction can still be committed.

        *spoke* says that a statement has come through since the handler returned. Raises what
        PostgreSQL says of a transaction in which a statement failed.
        """
        ...

    async def mark(self) -> None:
        """Set a savepoint, unless nothing was written since the last, which it replaces."""
        ...

    def mark_at_once(self) -> bool:
        """Do the same, if that takes no turn of its own; say whether it did."""
        ...

    async def seal(self) -> None:
        """Keep what was written since the savepoint; raise if a statement in it has failed."""
        ...

    async def back(self) -> None:
        """Undo what was written since the savepoint."""
        ...

    async def commit(self) -> bool:
        """Commit; False if the database has rolled back instead."""
        ...

    async def commit_with(
        self, statement: Executable, rows: Sequence[Mapping[str, object]], /
    ) -> bool:
        """Execute *statement* once for each of *rows*, and commit, as ``add`` and ``commit`` do."""
        ...

    async def roll_back(self) -> None:
        """Roll back, if there is anything open."""
        ...

    async def drop(self) -> None:
        """Throw the driver's connection away."""
        ...

    @property
    def dialect(self) -> Dialect:
        """The dialect of its database."""
        ...

    @property
    def carrier(self) -> AsyncConnection:
        """The pool's connection, as the store itself uses it when no handler does."""
        ...

    @property
    def sound(self) -> bool:
        """Say whether it is of any further use."""
        ...

    @property
    def at_rest(self) -> bool:
        """Say whether it is in no transaction."""
        ...


async def committed(link: Link, url: URL) -> None:
    """Commit what the store itself wrote; raise StoreError if the database rolled back instead."""
    if not await link.commit():
        raise StoreError(f"store {shown(url)}: it rolled back; it is tried again")

"""One connection for handlers' transactions: choreo speaks to its driver, handlers to SQLAlchemy.

Theory of operation.  SQLAlchemy takes several times as long over a statement as its driver does,
so what choreo itself says for every event is compiled once and said on the driver.  Transactions
are begun and ended there, too; on SQLite what need not answer at once waits for the next turn of
the driver's thread and is done in it.  Every handler gets a connection of SQLAlchemy's of its own,
for which the transaction has begun, and whose commit, rollback and close leave the driver alone.
It is closed when the handler has returned: a task that it left behind finds it closed, and its
options and savepoints are nobody else's.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy.engine import Connection, Dialect, RootTransaction
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable

from choreo_sql.compiled import compiled, compiled_text
from choreo_sql.driver import Connection as SqliteDriver
from choreo_sql.failures import of_driver, present, told
from choreo_sql.shared import Own, Shared

Rows = Iterable[Sequence[Any]]
Fetched = Sequence[Sequence[Any]]
Say = Callable[[Executable, Mapping[str, object]], Awaitable[Rows]]
"""Execute a statement and return its rows: on the driver, or through SQLAlchemy."""

BEGIN_SQLITE = "BEGIN IMMEDIATE"
"""Deferred, one that reads first would fail when another process has written meanwhile (O9)."""
BEGIN_POSTGRESQL = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""Whatever the server's default is: see O13."""

SAVEPOINT = "choreo"
IN_HAND = "choreo_transaction"
"""Name under which a connection knows whose transaction it is in."""


class Link(Protocol):
    """A connection that is lent for one transaction after the other."""

    def opened(self) -> tuple[AsyncConnection, RootTransaction]:
        """Make a handler's connection, within the transaction that was begun, and that."""
        ...

    async def ask(self, text: str, parameters: Mapping[str, object], /) -> Fetched:
        """Execute a handler's text, and return its rows."""
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

    async def seal(self) -> None:
        """Keep what was written since the savepoint; raise if a statement in it has failed."""
        ...

    async def back(self) -> None:
        """Undo what was written since the savepoint."""
        ...

    async def commit(self) -> bool:
        """Commit; False if the database has rolled back instead."""
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


class _Carried(ABC):
    """What the links have in common: the pool's connection beneath, and handlers' above it."""

    def __init__(self, carrier: AsyncConnection) -> None:
        self.carrier = carrier
        self.dialect: Dialect = carrier.dialect
        assert carrier.sync_connection is not None  # noqa: S101 -- it is open
        self._pooled = carrier.sync_connection.connection
        self.info: dict[Any, Any] = self._pooled.info
        self._own: AsyncConnection | None = None
        self._broken = False
        self._marked = False
        """There is a savepoint."""

    @property
    def driver(self) -> Any:  # noqa: ANN401 -- the driver's own
        """The driver's connection."""
        return self._pooled.driver_connection

    @property
    def sound(self) -> bool:
        """Say whether it is of any further use."""
        return not self._broken and self._pooled.is_valid

    async def drop(self) -> None:
        """Throw the driver's connection away."""
        if self._pooled.is_valid:
            await self.carrier.invalidate()

    def opened(self) -> tuple[AsyncConnection, RootTransaction]:
        """Make a handler's connection, within the transaction that was begun, and that."""
        return self._over(Shared(self._pooled))

    @property
    def own(self) -> AsyncConnection:
        """What choreo itself says through SQLAlchemy, within whichever transaction was begun."""
        if self._own is None:
            self._own, _ = self._over(Own(self._pooled))
        return self._own

    def _over(self, shared: Any) -> tuple[AsyncConnection, RootTransaction]:  # noqa: ANN401 -- as SQLAlchemy has it
        connection = Connection(self.carrier.sync_engine, connection=shared)
        root = connection.begin()
        return AsyncConnection(self.carrier.engine, connection), root

    async def _asked(self, answer: Awaitable[Any]) -> Any:  # noqa: ANN401 -- the driver's own
        """Wait for the driver; whoever is cancelled does not know what it is at."""
        try:
            return await answer
        except asyncio.CancelledError:
            self._broken = True
            raise

    async def say(self, statement: Executable, parameters: Mapping[str, object], /) -> Rows:
        """Execute a statement of choreo's own, and return its rows."""
        written = compiled(statement, self.dialect.name)
        return await self._fetched(written.text, written.given(parameters))

    async def ask(self, text: str, parameters: Mapping[str, object], /) -> Fetched:
        """Execute a handler's text, and return its rows."""
        written = compiled_text(text, self.dialect.name)
        try:
            given = written.given(parameters)
        except KeyError as missing:
            raise ValueError(f"no value for :{missing.args[0]} is given to {text!r}") from None
        try:
            return await self._fetched(written.text, given)
        except Exception as error:
            if of_driver(error) and not (self.sound and present(error)):
                raise told(self.carrier.engine.url, error) from error
            raise

    @abstractmethod
    async def _fetched(self, text: str, given: Sequence[object]) -> Fetched:
        """Execute *text* on the driver, and return its rows."""


class SqliteLink(_Carried):
    """SQLite's: what need not answer at once is said in one turn with what comes next."""

    @property
    def at_rest(self) -> bool:
        """Say whether it is in no transaction."""
        return not (self._thread.in_transaction or self._thread.pending)

    @property
    def _thread(self) -> SqliteDriver:
        driver: SqliteDriver = self.driver
        return driver

    async def begin(self) -> None:
        """Begin with the first statement."""
        self._marked = False
        self._thread.before(BEGIN_SQLITE)

    async def _fetched(self, text: str, given: Sequence[object]) -> Fetched:
        rows: Fetched = await self._asked(self._thread.execute_fetchall(text, given))
        return rows

    async def add(self, statement: Executable, rows: Sequence[Mapping[str, object]], /) -> None:
        """Execute it once for each of *rows*, before the commit at the latest."""
        written = compiled(statement, self.dialect.name)
        for row in rows:
            self._thread.before(written.text, written.given(row))

    async def whole(self, *, spoke: bool) -> bool:  # noqa: ARG002 -- as the port has it
        """Say whether the transaction is open: some errors make SQLite leave it without a word."""
        return bool(self._thread.in_transaction)

    async def mark(self) -> None:
        """Set a savepoint with the next statement, unless one is to be set with it already."""
        if not self._thread.pending:
            if self._marked:
                self._thread.before(f"RELEASE {SAVEPOINT}")
            self._thread.before(f"SAVEPOINT {SAVEPOINT}")
            self._marked = True

    async def seal(self) -> None:
        """Leave it to the next savepoint, or the commit."""

    async def back(self) -> None:
        """Undo with the next statement what was written since the savepoint."""
        if not self._thread.pending:
            self._thread.before(f"ROLLBACK TO {SAVEPOINT}")

    async def commit(self) -> bool:
        """Commit; False if some error has made SQLite roll back before."""
        if not self._thread.in_transaction:
            return False
        await self._asked(self._thread.execute_fetchall("COMMIT"))
        return True

    async def roll_back(self) -> None:
        """Roll back, if there is anything open."""
        self._thread.forget()
        if self._thread.in_transaction:
            await self._asked(self._thread.rollback())


class PostgresLink(_Carried):
    """PostgreSQL's: every statement is a round trip."""

    _fresh = False
    """Nothing was written since the savepoint."""

    @property
    def sound(self) -> bool:
        """Say whether it is of any further use."""
        return super().sound and not self.driver.is_closed()

    @property
    def at_rest(self) -> bool:
        """Say whether it is in no transaction."""
        return not self.driver.is_in_transaction()

    async def begin(self) -> None:
        """Begin a transaction."""
        self._marked = self._fresh = False
        await self._asked(self.driver.execute(BEGIN_POSTGRESQL))

    async def _fetched(self, text: str, given: Sequence[object]) -> Fetched:
        rows: Fetched = await self._asked(self.driver.fetch(text, *given))
        return rows

    async def add(self, statement: Executable, rows: Sequence[Mapping[str, object]], /) -> None:
        """Execute it once for each of *rows*."""
        for row in rows:
            await self.say(statement, row)

    async def whole(self, *, spoke: bool) -> bool:
        """Ask, unless a statement has come through: a COMMIT would not tell what failed."""
        if not self.driver.is_in_transaction():
            return False
        if not spoke:
            await self._asked(self.driver.execute("SELECT 1"))
        return True

    async def mark(self) -> None:
        """Set a savepoint, unless nothing was written since the last, which it replaces."""
        if not self._marked:
            await self._asked(self.driver.execute(f"SAVEPOINT {SAVEPOINT}"))
            self._marked = True
        elif not self._fresh:
            await self.seal()
        self._fresh = False

    async def seal(self) -> None:
        """Keep what was written since the savepoint, and set the next one in the same trip."""
        await self._asked(
            self.driver.execute(f"RELEASE SAVEPOINT {SAVEPOINT}; SAVEPOINT {SAVEPOINT}")
        )
        self._fresh = True

    async def back(self) -> None:
        """Undo what was written since the savepoint, which stays."""
        await self._asked(self.driver.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}"))
        self._fresh = True

    async def commit(self) -> bool:
        """Commit; False if the server has rolled back, as it does where a statement failed."""
        tag = await self._asked(self.driver.execute("COMMIT;"))
        return bool(tag == "COMMIT")

    async def roll_back(self) -> None:
        """Roll back, if there is anything open."""
        if self.driver.is_in_transaction():
            await self._asked(self.driver.execute("ROLLBACK"))


def link(carrier: AsyncConnection) -> Link:
    """Make a link of *carrier*, which is open, and in no transaction."""
    return PostgresLink(carrier) if carrier.dialect.name == "postgresql" else SqliteLink(carrier)


def close(connection: AsyncConnection) -> None:
    """Close what ``opened`` made: nobody executes anything on it any more."""
    if connection.sync_connection is not None:
        connection.sync_connection.close()

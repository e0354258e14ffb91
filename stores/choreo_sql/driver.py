"""SQLite in a thread, as aiosqlite has it, but with a statement and its rows in one turn of it.

A turn wakes two threads, which costs more than most statements do.  aiosqlite's own cursor takes
four of them: to be made, to execute, to fetch and to be closed.  This one is made when it executes,
brings the first rows along, and has nothing to close once it has brought all.
"""

# The driver leaves types open:
# pyright: reportUnknownMemberType=false

import asyncio
import re
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from aiosqlite.context import contextmanager

from choreo_sql.reply import Reply

CHANGES = re.compile(
    r"\s*(?:INSERT|UPDATE|DELETE|REPLACE)\b(?!.*\bRETURNING\b)", re.IGNORECASE | re.DOTALL
)
"""Statements that ``executemany`` of every Python takes."""
CHUNK = 256
"""Rows that come along with a statement; what is left is fetched when it is asked for."""

CLOSED = "the connection is closed"

T = TypeVar("T")
Execute = Callable[[sqlite3.Cursor], object]
Statement = tuple[str, Sequence[object]]
"""SQL, and what stands for its question marks."""


class Connection(aiosqlite.Connection):
    """A connection whose cursors take a turn only where SQLite itself is asked."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 -- the driver's own
        """Take what aiosqlite takes."""
        super().__init__(*arguments)
        self._first: list[Statement] = []

    def before(self, sql: str, given: Sequence[object] = ()) -> None:
        """Execute *sql* in the next turn, whatever that is for, before it."""
        self._first.append((sql, given))

    @property
    def pending(self) -> bool:
        """Say whether anything is to come before the next turn."""
        return bool(self._first)

    def forget(self) -> None:
        """Execute nothing of what was to come before the next turn."""
        self._first.clear()

    async def _execute(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 -- as above
        first, self._first = self._first, []
        return await self._send(partial(_after, self.raw, first, partial(fn, *args, **kwargs)))

    def ask(self, sql: str, given: Sequence[object] = ()) -> Reply[list[Any]]:
        """Execute *sql* in the next turn, and bring all its rows."""
        first, self._first = self._first, []
        return self._send(partial(_fetched, self.raw, first, sql, given))

    def _send(self, work: Callable[[], T]) -> Reply[T]:
        """Have *work* done in the next turn."""
        if not self._running:
            raise ValueError(CLOSED)
        reply: Reply[T] = Reply(loop=asyncio.get_running_loop())
        self._tx.put_nowait((reply, work))
        return reply

    @property
    def in_transaction(self) -> bool:
        """Say whether there is a transaction."""
        if self._connection is None:
            raise ValueError(CLOSED)
        return self._connection.in_transaction

    @property
    def raw(self) -> sqlite3.Connection:
        """What only the connection's own thread may use."""
        if self._connection is None:
            raise ValueError(CLOSED)
        return self._connection

    async def turn(self, work: Callable[[], T]) -> T:
        """Do *work* in the connection's own thread."""
        return await self._execute(work)

    @contextmanager
    async def cursor(self) -> aiosqlite.Cursor:
        """Make a cursor, without a turn."""
        return Cursor(self)


class Cursor(aiosqlite.Cursor):
    """One statement after the other, each with its first rows in one turn."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._made: sqlite3.Cursor | None = None
        self._rows: deque[Any] = deque()
        self._more = False
        self._arraysize = 1
        self._factory: Any = None

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> "Cursor":
        """Execute, and bring the first rows."""
        given: Any = () if parameters is None else parameters
        return await self._run(lambda cursor: cursor.execute(sql, given))

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> "Cursor":
        """Execute once with each of *parameters*."""
        return await self._run(lambda cursor: cursor.executemany(sql, parameters))

    async def executescript(self, sql_script: str) -> "Cursor":
        """Execute all that the script says."""
        return await self._run(lambda cursor: cursor.executescript(sql_script))

    async def _run(self, execute: Execute) -> "Cursor":
        self._rows.clear()
        self._more = False
        turn = partial(_turn, self._connection.raw, self._made, self._factory, execute)
        self._made, rows = await self._connection.turn(turn)
        self._bring(rows)
        return self

    def _bring(self, rows: list[Any]) -> None:
        self._rows.extend(rows)
        self._more = len(rows) == CHUNK

    # -- rows ---------------------------------------------------------------------------------

    async def fetchone(self) -> Any:  # noqa: ANN401 -- what the row factory makes
        """Return the next row; None after the last."""
        if not self._rows and self._more and self._made is not None:
            self._bring(await self._connection.turn(partial(self._made.fetchmany, CHUNK)))
        return self._rows.popleft() if self._rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next rows, ``arraysize`` of them unless told otherwise."""
        wanted = self._arraysize if size is None else size
        rows: list[Any] = []
        while len(rows) < wanted and (row := await self.fetchone()) is not None:
            rows.append(row)
        return rows

    async def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        rows = list(self._rows)
        self._rows.clear()
        if self._more and self._made is not None:
            rows.extend(await self._connection.turn(self._made.fetchall))
            self._more = False
        return rows

    async def close(self) -> None:
        """Let go of the statement, which has let go itself if all its rows came."""
        self._rows.clear()
        if self._more and self._made is not None:
            self._more = False
            await self._connection.turn(self._made.close)

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the rows that are left."""
        return self._each()

    async def _each(self) -> AsyncIterator[Any]:
        while (row := await self.fetchone()) is not None:
            yield row

    # -- what the statement left behind ---------------------------------------------------------

    @property
    def description(self) -> Any:  # noqa: ANN401 -- as sqlite3 has it
        """The columns of the rows; None where there are none."""
        return None if self._made is None else self._made.description

    @property
    def rowcount(self) -> int:
        """Rows that were changed; -1 if that is not known."""
        return -1 if self._made is None else self._made.rowcount

    @property
    def lastrowid(self) -> int | None:
        """Number of the row that was inserted last."""
        return None if self._made is None else self._made.lastrowid

    @property
    def arraysize(self) -> int:
        """Rows that ``fetchmany`` returns unless told otherwise."""
        return self._arraysize

    @arraysize.setter
    def arraysize(self, value: int) -> None:
        self._arraysize = value

    @property
    def row_factory(self) -> Any:  # noqa: ANN401 -- as sqlite3 has it
        """What makes a row of its values; None for the connection's own."""
        return self._factory

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:  # noqa: ANN401 -- as above
        self._factory = factory

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection beneath, which only its own thread may use."""
        return self._connection.raw


def connecting(file: str, patience: float) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """Return what opens *file*; a lock is waited for *patience* seconds.

    The driver must not begin transactions by itself: it would begin them deferred (O9).
    """
    place = Path(file).absolute()  # wherever the process goes meanwhile
    opening = partial(sqlite3.connect, place, timeout=patience, isolation_level=None)

    async def connect() -> aiosqlite.Connection:
        connection = Connection(opening, CHUNK)
        # One that nobody closes must not keep the process; SQLAlchemy does the same.
        connection._thread.daemon = True  # noqa: SLF001 -- there is no other way
        return await connection

    return connect


def _after(connection: sqlite3.Connection, first: Sequence[Statement], work: Callable[[], T]) -> T:
    if first:
        _say_first(connection, first)
    return work()


def _fetched(
    connection: sqlite3.Connection,
    first: Sequence[Statement],
    sql: str,
    given: Sequence[object],
) -> list[Any]:
    if first:
        _say_first(connection, first)
    return connection.execute(sql, given).fetchall()


def _say_first(connection: sqlite3.Connection, first: Sequence[Statement]) -> None:
    if len(first) == 1:
        ((sql, values),) = first
        connection.execute(sql, values)
        return
    for sql, equal in groupby(first, itemgetter(0)):
        given = [values for _, values in equal]
        # Many at once take half the time, and the driver takes only these so.
        if len(given) > 1 and CHANGES.match(sql):
            connection.executemany(sql, given)
        else:
            for values in given:
                connection.execute(sql, values)


def _turn(
    connection: sqlite3.Connection,
    made: sqlite3.Cursor | None,
    factory: Any,  # noqa: ANN401 -- as sqlite3 has it
    execute: Execute,
) -> tuple[sqlite3.Cursor, list[Any]]:
    cursor = connection.cursor() if made is None else made
    if factory is not None:
        cursor.row_factory = factory
    execute(cursor)
    return cursor, cursor.fetchmany(CHUNK) if cursor.description else []

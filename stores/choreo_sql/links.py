"""Links over the drivers of SQLite and PostgreSQL."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable

from choreo_sql.carried import Carried
from choreo_sql.compiled import compiled
from choreo_sql.driver import Connection as SqliteDriver
from choreo_sql.link import Fetched, Link, Statement
from choreo_sql.literals import constant

BEGIN_SQLITE = "BEGIN IMMEDIATE"
"""Deferred, one that reads first would fail when another process has written meanwhile (O9)."""
BEGIN_POSTGRESQL = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""Whatever the server's default is: see O13."""
SAVEPOINT = "choreo"
COMMITTED = "COMMIT"
"""What PostgreSQL tells of a COMMIT that was one."""
TEXT = 256 * 1024
"""Characters and bytes of values that are written into the text of a statement, at the most."""


class SqliteLink(Carried):
    """SQLite's: what need not answer at once is said in one turn with what comes next."""

    def __init__(self, carrier: AsyncConnection) -> None:
        super().__init__(carrier)
        self._thread: SqliteDriver = self.driver

    @property
    def at_rest(self) -> bool:
        """Say whether it is in no transaction."""
        return not (self._thread.in_transaction or self._thread.pending)

    async def begin(self) -> None:
        """Begin with the first statement."""
        self._marked = False
        self._thread.before(BEGIN_SQLITE)

    async def begin_with(self, statement: Executable, parameters: Mapping[str, object], /) -> int:
        """Do both in one turn of the driver's thread."""
        self._marked = False
        self._thread.before(BEGIN_SQLITE)
        written = compiled(statement, self.dialect.name)
        return len(await self._fetched(written.text, written.given(parameters)))

    async def _fetched(self, text: str, given: Sequence[object]) -> Fetched:
        try:
            return await self._thread.ask(text, given)
        except asyncio.CancelledError:
            self._broken = True
            raise

    async def _done(self, statements: Sequence[Statement]) -> None:
        *first, last = statements
        for text, given in first:
            self._thread.before(text, given)
        await self._fetched(*last)

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
        self.mark_at_once()

    def mark_at_once(self) -> bool:
        """Do so: it never takes a turn of its own."""
        if not self._thread.pending:
            if self._marked:
                self._thread.before(f"RELEASE {SAVEPOINT}")
            self._thread.before(f"SAVEPOINT {SAVEPOINT}")
            self._marked = True
        return True

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
        await self._fetched("COMMIT", ())
        return True

    async def commit_with(
        self, statement: Executable, rows: Sequence[Mapping[str, object]], /
    ) -> bool:
        """Do both in one turn of the driver's thread."""
        await self.add(statement, rows)
        return await self.commit()

    async def roll_back(self) -> None:
        """Roll back, if there is anything open."""
        self._thread.forget()
        if self._thread.in_transaction:
            await self._asked(self._thread.rollback())


class PostgresLink(Carried):
    """PostgreSQL's: every statement is a round trip."""

    _fresh = False
    """Nothing was written since the savepoint."""

    def __init__(self, carrier: AsyncConnection) -> None:
        super().__init__(carrier)
        self._prepared: dict[str, Any] = {}
        """What the driver has prepared for ``begin_with``, by its text."""

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

    async def begin_with(self, statement: Executable, parameters: Mapping[str, object], /) -> int:
        """Do both in one trip: a text of both executes what the driver has prepared.

        So the server neither parses nor plans it anew, as it does with a text that is no more than
        that.
        """
        execution = await self._execution(statement, parameters)
        self._marked = self._fresh = False
        tag = await self._executed(f"{BEGIN_POSTGRESQL};{execution}")
        return int(tag.rpartition(" ")[2])

    async def _execution(self, statement: Executable, parameters: Mapping[str, object]) -> str:
        """Write down how what the driver has prepared of *statement* is executed."""
        written = compiled(statement, self.dialect.name)
        prepared = self._prepared.get(written.text)
        if prepared is None:
            prepared = await self._asked(self.driver.prepare(written.text))
            self._prepared[written.text] = prepared
        given = ",".join(map(constant, written.given(parameters)))
        return f"EXECUTE {prepared.get_name()}({given})"

    async def _executed(self, text: str) -> str:
        """Execute a text with what was prepared, and return the tag of its last statement."""
        try:
            tag: str = await self._asked(self.driver.execute(text))
        except Exception:
            self._prepared.clear()  # a handler may have had the server forget it
            raise
        return tag

    async def _fetched(self, text: str, given: Sequence[object]) -> Fetched:
        rows: Fetched = await self._asked(self.driver.fetch(text, *given))
        return rows

    async def _done(self, statements: Sequence[Statement]) -> None:
        for text, equal in groupby(statements, key=itemgetter(0)):
            await self._asked(self.driver.executemany(text, [given for _, given in equal]))

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
        if self.mark_at_once():
            return
        if self._marked:
            await self.seal()
        else:
            await self._asked(self.driver.execute(f"SAVEPOINT {SAVEPOINT}"))
            self._marked = True
        self._fresh = False

    def mark_at_once(self) -> bool:
        """Do so, if nothing was written since the last."""
        fresh, self._fresh = self._fresh, False
        return fresh

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
        return bool(tag == COMMITTED)

    async def commit_with(
        self, statement: Executable, rows: Sequence[Mapping[str, object]], /
    ) -> bool:
        """Do both in one trip, as ``begin_with`` does, unless there is much to write."""
        if len(rows) == 1 and sum(map(_size, rows[0].values())) <= TEXT:
            try:
                execution = await self._execution(statement, rows[0])
            except ValueError:
                pass  # which the server refuses, and tells what is wrong with it
            else:
                return await self._executed(f"{execution};COMMIT;") == COMMITTED
        await self.add(statement, rows)
        return await self.commit()

    async def roll_back(self) -> None:
        """Roll back, if there is anything open."""
        if self.driver.is_in_transaction():
            await self._asked(self.driver.execute("ROLLBACK"))


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | bytes) else 0


def link(carrier: AsyncConnection) -> Link:
    """Make a link of *carrier*, which is open, and in no transaction."""
    return PostgresLink(carrier) if carrier.dialect.name == "postgresql" else SqliteLink(carrier)

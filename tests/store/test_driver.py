"""SQLite's driver: a statement and its rows in one turn of the connection's thread."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from choreo_sql.driver import CHUNK, Connection, connecting

T = TypeVar("T")
MANY = 2 * CHUNK + 7


class Counted(Connection):
    """Counts the turns of its thread."""

    turns = 0

    async def turn(self, work: Callable[[], T]) -> T:
        """Take one, and count it."""
        self.turns += 1
        return await super().turn(work)


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> str:
    file = str(tmp_path / "books.db")
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE pages (number INTEGER PRIMARY KEY, title TEXT NOT NULL)")
    connection.close()
    return file


@pytest.fixture(name="opened")
async def _opened(file: str) -> AsyncGenerator[Counted]:
    connection = Counted(lambda: sqlite3.connect(file, isolation_level=None), CHUNK)
    async with connection:
        yield connection


@pytest.fixture(name="engine")
async def _engine(file: str) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine("sqlite+aiosqlite://", async_creator=connecting(file, 1.0))
    yield engine
    await engine.dispose()


async def filled(connection: Connection, rows: int) -> None:
    await connection.executemany(
        "INSERT INTO pages VALUES (?, ?)", [(n, f"page {n}") for n in range(rows)]
    )


@pytest.mark.parametrize(
    "statement",
    ["SELECT 1", "INSERT INTO pages VALUES (1, 'a') RETURNING title", "DELETE FROM pages"],
)
async def test_a_statement_with_its_rows_takes_one_turn(opened: Counted, statement: str) -> None:
    before = opened.turns

    async with opened.cursor() as cursor:
        await cursor.execute(statement)
        if cursor.description:
            await cursor.fetchall()

    assert opened.turns == before + 1


@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, MANY])
async def test_all_rows_come_however_many_there_are_and_however_they_are_asked_for(
    opened: Counted, count: int
) -> None:
    await filled(opened, count)
    numbers = [(n,) for n in range(count)]

    async with opened.cursor() as cursor:
        query = "SELECT number FROM pages ORDER BY number"
        await cursor.execute(query)
        at_once = await cursor.fetchall()
        await cursor.execute(query)
        one_by_one = [await cursor.fetchone() for _ in range(count)]
        after = await cursor.fetchone()
        await cursor.execute(query)
        some = [*await cursor.fetchmany(3), *await cursor.fetchall()]
        await cursor.execute(query)
        each = [row async for row in cursor]

    assert at_once == one_by_one == some == each == numbers
    assert after is None


async def test_a_cursor_that_is_closed_before_its_last_row_holds_no_lock(
    opened: Counted, file: str
) -> None:
    await filled(opened, MANY)

    async with opened.cursor() as cursor:
        await cursor.execute("SELECT number FROM pages")
        await cursor.fetchone()

    with sqlite3.connect(file, timeout=0) as other:
        other.execute("DROP TABLE pages")
    other.close()


async def test_what_a_statement_did_is_known_after_its_cursor_was_closed(opened: Counted) -> None:
    cursor = await opened.cursor()

    await cursor.execute("INSERT INTO pages VALUES (7, 'a') RETURNING title AS name")
    await cursor.close()

    assert (cursor.lastrowid, cursor.rowcount, cursor.description[0][0]) == (7, 1, "name")


async def test_rows_are_made_as_the_cursor_was_told(opened: Counted) -> None:
    cursor = await opened.cursor()
    cursor.row_factory = sqlite3.Row

    await cursor.execute("SELECT 1 AS one")

    assert dict(await cursor.fetchone() or {}) == {"one": 1}


async def test_a_statement_that_fails_leaves_the_cursor_usable(opened: Counted) -> None:
    cursor = await opened.cursor()

    with pytest.raises(sqlite3.IntegrityError):
        await cursor.execute("INSERT INTO pages VALUES (1, NULL)")
    await cursor.execute("SELECT count(*) FROM pages")

    assert list(await cursor.fetchall()) == [(0,)]


async def test_what_came_before_another_statement_does_not_come_after_it(opened: Counted) -> None:
    await filled(opened, MANY)
    cursor = await opened.cursor()

    await cursor.execute("SELECT number FROM pages")
    await cursor.execute("DELETE FROM pages")

    assert (list(await cursor.fetchall()), cursor.rowcount) == ([], MANY)


async def test_rows_of_a_statement_that_writes_are_committed_whole(
    engine: AsyncEngine, file: str
) -> None:
    pages = [{"n": n, "t": "page"} for n in range(MANY)]

    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO pages VALUES (:n, :t)"), pages)
        changed = await connection.execute(text("UPDATE pages SET title = 'a' RETURNING number"))
        titles = len(changed.all())

    with sqlite3.connect(file) as other:
        found = other.execute("SELECT count(*) FROM pages WHERE title = 'a'").fetchone()
    other.close()
    assert (titles, found) == (MANY, (MANY,))


async def test_rows_are_streamed_and_errors_told_as_sqlalchemy_has_them(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO pages VALUES (:n, 'page')"), [{"n": n} for n in range(MANY)]
        )
        streamed = await connection.stream(text("SELECT number FROM pages ORDER BY number"))
        numbers = [row.number async for row in streamed]
        with pytest.raises(IntegrityError):
            await connection.execute(text("INSERT INTO pages VALUES (1, 'again')"))

    assert numbers == list(range(MANY))


async def test_what_sqlalchemy_gives_a_connection_is_there(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        matched = await connection.scalar(text("SELECT 'a page' REGEXP '^a p'"))

    assert matched == 1


async def test_a_process_that_goes_elsewhere_opens_the_same_file(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    connect = connecting(Path(file).name, 1.0)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    connection = await connect()
    found = await connection.execute_fetchall("SELECT count(*) FROM pages")
    await connection.close()

    assert list(found) == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO pages VALUES (?, 'a')",
        "INSERT INTO pages VALUES (?, 'a') RETURNING title",
        "WITH one AS (SELECT ? AS n) INSERT INTO pages SELECT n, 'a' FROM one",
        "-- a page\nINSERT INTO pages VALUES (?, 'a')",
        "SELECT ? FROM pages",
    ],
)
async def test_equal_statements_before_a_turn_are_all_executed(
    opened: Counted, statement: str
) -> None:
    opened.before("INSERT INTO pages VALUES (?, 'first')", (0,))
    for number in (1, 2, 3):
        opened.before(statement, (number,))

    rows = await opened.execute_fetchall("SELECT number FROM pages ORDER BY number")

    wanted = 1 if statement.startswith("SELECT") else 4
    assert list(rows) == [(number,) for number in range(wanted)]

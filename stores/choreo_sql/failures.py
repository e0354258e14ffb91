"""What drivers raise, told as StoreError: what happened, where, and what to do."""

from collections.abc import Iterator
from types import TracebackType

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from choreo.errors import StoreError
from choreo_sql.patience import Bound, Patience
from choreo_sql.settings import shown

DRIVERS = {"aiosqlite", "asyncpg", "sqlite3"}
SQLITE_ABSENCE = {5, 6, 8, 10, 13, 14, 15, 26}
"""Primary result codes of SQLite that are no statement's fault: busy, locked, read-only, I/O error,
full, cannot open, lost a lock, no database (https://sqlite.org/rescode.html)."""
POSTGRES_ABSENCE = ("08", "40", "53", "55P03", "57", "58")
"""Beginnings of SQLSTATE codes that are no statement's fault: connection, transaction rolled back
in favour of another, resources, a lock not given in time, an operator's doing, the system."""
ADVICE = {
    "sqlite 5": "another process is writing: raise ?timeout=, or keep its transactions shorter",
    "sqlite 8": "make the file and its folder writable",
    "sqlite 13": "free some space",
    "sqlite 14": "make sure that the folder exists and may be written to",
    "sqlite 26": "name a file that is one, or another place for a new one",
    "28P01": "check user and password in the URL",
    "28000": "check user and password in the URL",
    "3D000": "create the database, or correct its name in the URL",
    "42501": "give the user the rights to the tables",
    "53100": "free some space",
    "53300": "lower ?pool=, or raise max_connections of the server",
    "55P03": "another transaction holds a lock for long: look into pg_stat_activity",
    "57014": "the server is slow, or a lock is held: raise ?timeout=, or look into its load",
}
AGAIN = "it is tried again"


class Telling(Bound):
    """Raises what a driver raises inside as StoreError, and so what takes too long.

    It is a class because the generator of a context manager costs several times as much.
    """

    __slots__ = ("_url",)

    def __init__(self, url: URL, patience: Patience) -> None:
        super().__init__(patience)
        self._url = url

    async def __aenter__(self) -> None:
        """Begin to wait."""
        self.enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell what was raised."""
        try:
            self.leave(error)
        except TimeoutError as late:
            raise told(self._url, late) from late
        if isinstance(error, Exception) and of_driver(error):
            raise told(self._url, error) from error


def of_driver(error: BaseException) -> bool:
    """Say whether *error* comes from the database or the way to it."""
    return (
        isinstance(error, SQLAlchemyError | OSError | TimeoutError)
        or type(error).__module__.partition(".")[0] in DRIVERS
    )


def told(url: URL, error: BaseException) -> StoreError:
    """Say what *error* means for the store at *url*, without its password."""
    kind = code(error)
    advice = ADVICE.get(kind or "", AGAIN)
    return StoreError(f"store {shown(url)}: {_text(url, error)}; {advice}")


def absent(error: BaseException) -> bool:
    """Say whether *error* tells of a database that cannot answer, and not of a wrong statement.

    What comes from a driver past SQLAlchemy may be of a database of the handler's own: SQLite's
    says nothing then, and PostgreSQL's, whose connection handlers use for COPY, is believed.
    """
    return any(_absent(one) for one in _causes(error))


def code(error: BaseException) -> str | None:
    """Return the SQLSTATE of *error*, or ``sqlite`` and its primary result code."""
    for one in _causes(error):
        state = getattr(one, "sqlstate", None)
        if isinstance(state, str):
            return state
        number = getattr(one, "sqlite_errorcode", None)
        if isinstance(number, int):
            return f"sqlite {number & 0xFF}"
    return None


def _absent(error: BaseException) -> bool:
    if isinstance(error, StoreError | PoolTimeout):
        return True
    if isinstance(error, DBAPIError):
        kind = code(error)
        return error.connection_invalidated or (kind is not None and absent_code(kind))
    state = getattr(error, "sqlstate", None)
    return isinstance(state, str) and absent_code(state)


def absent_code(kind: str) -> bool:
    """Say the same of what ``code`` returned."""
    if kind.startswith("sqlite"):
        return int(kind.partition(" ")[2]) in SQLITE_ABSENCE
    return kind.startswith(POSTGRES_ABSENCE)


def present(error: BaseException) -> bool:
    """Say whether *error*, a driver's, tells of a statement that a database has refused."""
    kind = code(error)
    return kind is not None and not absent_code(kind)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and what it was raised from, the driver's own one included."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting.append(one.__cause__)
        if isinstance(one, DBAPIError):
            waiting.append(one.orig)


def _text(url: URL, error: BaseException) -> str:
    if isinstance(error, PoolTimeout):
        return "no connection was free in time"
    deepest = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if isinstance(deepest, TimeoutError):
        return "no answer in time"
    lines = str(deepest).splitlines() or [type(deepest).__name__]
    return lines[0].replace(str(url.password), "***") if url.password else lines[0]


def of_one(error: StoreError) -> bool:
    """Say whether *error*, of many writes in one transaction, may be the doing of one of them."""
    kind = code(error)
    if kind is None:
        return isinstance(error.__cause__, DBAPIError) and not absent(error.__cause__)
    return not absent_code(kind) or kind.startswith(("40", "55P03"))


def of_constraint(error: BaseException) -> bool:
    """Say whether a constraint forbids what was written (SQLSTATE class 23)."""
    kind = code(error)
    return kind is not None and (kind == "sqlite 19" or kind.startswith("23"))

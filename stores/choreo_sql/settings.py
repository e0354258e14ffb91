"""Everything about a SQL store that a user may set, in one place, read from its URL."""

from datetime import timedelta
from inspect import signature
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from choreo.duration import Duration
from choreo.errors import ConfigurationError
from choreo.written import problems

DIALECT = {"prepared_statement_cache_size", "prepared_statement_name_func"}
"""What SQLAlchemy itself takes from a URL for asyncpg."""
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


class SqlSettings(BaseModel):
    """How a database is worked with. Times in a URL are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    create: bool | None = Field(
        default=None,
        description="Create missing tables at start; by default in SQLite, and nowhere else.",
    )
    pool: int = Field(
        default=16,
        ge=1,
        description="Connections for handlers' transactions, which wait for one in turn; four "
        "more are the store's own. PostgreSQL only: SQLite has one writer.",
    )
    together: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Most events whose handlers share one transaction, one after the other, each "
        "in a savepoint, where they would wait for a connection otherwise. By default 64 in "
        "SQLite, and 1, none, in PostgreSQL.",
    )
    timeout: Duration = Field(
        default=timedelta(seconds=10),
        description="Longest wait for a connection, for a lock, and for an answer to a statement "
        "of the store's own.",
    )
    idle: Duration = Field(
        default=timedelta(minutes=5),
        description="Longest pause of a handler's transaction between two statements, after which "
        "PostgreSQL rolls it back: a process that was stopped holds its locks no longer. Longer "
        "than the deadline of any handler.",
    )

    @classmethod
    def parse(cls, text: str, given: "SqlSettings | None" = None) -> tuple[URL, Self]:
        """Read a URL; raise ConfigurationError for what is not understood.

        Options of the URL come before those *given*; what else is in its query of PostgreSQL is the
        driver's, asyncpg's.
        """
        url = _url(text)
        own = {name: value for name, value in url.query.items() if name in cls.model_fields}
        base = given.model_dump(exclude_unset=True) if given else {}
        try:
            settings = cls.model_validate({**base, **own})
        except ValidationError as error:
            raise ConfigurationError(f"store {shown(url)}: {problems(error)}") from None
        url = url.difference_update_query(own)
        if "sslmode" in url.query:  # libpq's name, as URLs have it everywhere
            mode = url.query["sslmode"]
            url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
        if unknown := sorted(set(url.query) - _drivers(url)):
            known = ", ".join(cls.model_fields)
            raise ConfigurationError(
                f"store {shown(url)}: {', '.join(unknown)} is no option: there are {known}"
            )
        return url, settings


def shown(url: URL) -> str:
    """Write *url* without password and options."""
    return url.set(query={}, drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _drivers(url: URL) -> set[str]:
    """Name what the driver takes from the query of *url*; of SQLite's nothing is of use."""
    if url.get_backend_name() == "sqlite":
        return set()
    try:
        import asyncpg  # noqa: PLC0415 -- who has SQLite alone need not have it
    except ModuleNotFoundError:
        return set(url.query)  # the engine says what is missing
    return DIALECT | set(signature(asyncpg.connect).parameters)


def _url(text: str) -> URL:
    scheme = text.partition("://")[0]
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(  # the text may hold a password
            f"the URL of the store ({scheme[:20]}…) cannot be read: write sqlite:///file.db or "
            "postgresql://user:password@host/database"
        ) from None
    if url.drivername not in DRIVERS:
        raise ConfigurationError(
            f"store {shown(url)}: write sqlite:///file.db or "
            "postgresql://user:password@host/database"
        )
    if url.drivername == "sqlite":
        _check_file(url)
    return url.set(drivername=DRIVERS[url.drivername])


def _check_file(url: URL) -> None:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError(
            f"store {shown(url)} names no file: write sqlite:///file.db, or sqlite:////tmp/file.db "
            "for an absolute path; memory:// keeps nothing"
        )
    if url.host or url.username:
        raise ConfigurationError(f"store {shown(url)}: write sqlite:///file.db with three slashes")

"""What goes to databases, through SQLAlchemy or past it."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import Engine, event

from choreo_sql import SqlStore
from choreo_sql.driver import Connection
from choreo_sql.links import SqliteLink


@contextmanager
def counted() -> Generator[list[str]]:
    """Note what is sent to any database meanwhile, other than on the driver itself."""
    sent: list[str] = []

    def note(*details: object) -> None:
        sent.append(str(details[2]))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@asynccontextmanager
async def driven(store: SqlStore) -> AsyncGenerator[list[str]]:
    """Note what SQLite's one writer executes meanwhile, by whatever way it came."""
    sent: list[str] = []
    async with store.connections.handling() as link:
        assert isinstance(link, SqliteLink)
        driver: Connection = link.driver
    await driver.turn(lambda: driver.raw.set_trace_callback(sent.append))
    try:
        yield sent
    finally:
        await driver.turn(lambda: driver.raw.set_trace_callback(None))

"""What goes to databases, through SQLAlchemy or past it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
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
async def driven(
    store: SqlStore, begun: Callable[[str], object] = str
) -> AsyncGenerator[list[str]]:
    """Note what SQLite's one writer executes meanwhile, by whatever way it came.

    Call *begun*, in the loop, as it begins with a statement.
    """
    sent: list[str] = []
    loop = asyncio.get_running_loop()

    def note(statement: str) -> None:
        sent.append(statement)
        loop.call_soon_threadsafe(begun, statement)

    async with store.connections.handling() as link:
        assert isinstance(link, SqliteLink)
        driver: Connection = link.driver
    await driver.turn(lambda: driver.raw.set_trace_callback(note))
    try:
        yield sent
    finally:
        await driver.turn(lambda: driver.raw.set_trace_callback(None))

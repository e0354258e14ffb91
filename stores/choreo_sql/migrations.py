"""The steps from the tables of one version to those of the next, as they were when it came.

A step speaks of tables by their names, not by what they are now: later versions change that.
"""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Migrate = Callable[[AsyncConnection], Awaitable[None]]


async def name_streams_of_lines(connection: AsyncConnection) -> None:
    """Give lines the stream that they wait for; those that are open are called at a start."""
    kind = 'TEXT COLLATE "C"' if connection.dialect.name == "postgresql" else "TEXT"
    for column in ("source", "stream"):
        await connection.execute(text(f"ALTER TABLE choreo_line ADD COLUMN {column} {kind}"))


ALL: Sequence[tuple[int, Migrate]] = ((2, name_streams_of_lines),)
"""By the version they lead to, in order."""

"""Services and their handlers as small integers, under which all rows are kept."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, ForeignKey, Integer, Table, UniqueConstraint, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from choreo_sql.metadata import Name, metadata

services = Table(
    "choreo_service",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
)
handlers = Table(
    "choreo_handler",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("service", Integer, ForeignKey(services.c.number), nullable=False),
    Column("name", Name, nullable=False),
    UniqueConstraint("service", "name"),
)


@dataclass(frozen=True, slots=True)
class Scopes:
    """The numbers of one service and its handlers in one database."""

    name: str
    """Of the service."""
    service: int
    handlers: Sequence[int]
    """By the handler's number within its service, as ``Key`` has it."""


async def number(connection: AsyncConnection, service: str, names: Sequence[str]) -> Scopes:
    """Look up *service* and its handlers, and give numbers to those that have none."""
    await _ensure(connection, services, [{"name": service}])
    query = select(services.c.number).where(services.c.name == service)
    found = (await connection.execute(query)).scalar_one()
    if names:
        await _ensure(connection, handlers, [{"service": found, "name": name} for name in names])
    rows = await connection.execute(
        select(handlers.c.name, handlers.c.number).where(handlers.c.service == found)
    )
    numbers = {name: int(value) for name, value in rows}
    return Scopes(service, found, tuple(numbers[name] for name in names))


async def _ensure(
    connection: AsyncConnection, table: Table, rows: Sequence[dict[str, object]]
) -> None:
    """Insert what is not there; first look, because a refused insert uses up a number."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    for row in rows:
        same = [table.c[name] == value for name, value in row.items()]
        if await connection.scalar(select(table.c.number).where(*same)) is None:
            await connection.execute(insert(table).on_conflict_do_nothing(), row)

"""A database with a table that lets duplicates be seen."""

from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.store.conftest import postgres_url, url

__all__ = ["postgres_url", "url"]


class Effects:
    """An unconstrained table: a duplicate is seen, not prevented."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(self) -> None:
        """Make the table."""
        async with self._engine.begin() as connection:
            await connection.execute(text("CREATE TABLE effects (what TEXT NOT NULL)"))

    async def seen(self) -> list[str]:
        """List what handlers have written and committed."""
        async with self._engine.begin() as connection:
            rows = await connection.execute(text("SELECT what FROM effects ORDER BY what"))
            return [row.what for row in rows]


@pytest.fixture
async def effects(url: str) -> AsyncGenerator[Effects]:
    """Return the table of a fresh database."""
    kind, _, place = url.partition("?")[0].partition("://")
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}[kind]
    engine = create_async_engine(f"{driver}://{place}")
    table = Effects(engine)
    await table.create()
    yield table
    await engine.dispose()

"""Databases of a test's own."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import asyncpg
import pytest

from tests.local.parts import PostgresPart
from tests.patience import patient
from tests.store.setups import sqlite_url


@pytest.fixture
async def postgres_url(
    postgres: PostgresPart, fresh_name: Callable[[str], str]
) -> AsyncGenerator[str]:
    """Return the URL of an empty database, which goes with the test."""
    name = fresh_name("store").replace("-", "_")
    server = await asyncpg.connect(postgres.dsn)
    try:
        await server.execute(f"CREATE DATABASE {name}")
        yield f"{postgres.dsn.rpartition('/')[0]}/{name}?create=true"
        async with asyncio.timeout(patient(30)):
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def shared_url(url: str) -> str:
    """Let all handlers have one connection, and share its transactions."""
    return f"{url}&together=64&pool=1" if url.startswith("postgresql") else url

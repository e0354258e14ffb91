"""Stores of every kind, with the order of one service opened in them."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import asyncpg
import pytest

from choreo.store.memory import MemoryStore
from choreo.store.port import Ledger
from choreo_sql import SqlStore
from tests.local.parts import PostgresPart

HANDLERS = ("first", "second")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def url(
    request: pytest.FixtureRequest, tmp_path: Path, fresh_name: Callable[[str], str]
) -> str:
    """Name a database of this test's own."""
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/order.db"
    server: PostgresPart = request.getfixturevalue("postgres")
    name = fresh_name("order").replace("-", "_")
    connection = await asyncpg.connect(server.dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"{server.dsn.rpartition('/')[0]}/{name}?create=true"


@pytest.fixture
async def ledger(url: str) -> AsyncGenerator[Ledger[object]]:
    """Open the books of one service."""
    async with MemoryStore(url) if url == "memory://" else SqlStore(url) as store:
        yield await store.ledger("shop", HANDLERS)

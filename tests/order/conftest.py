"""Stores of every kind."""

from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from tests.local.parts import PostgresPart


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

"""Outboxes of a test's own, of every kind of store."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import asyncpg
import pytest

from choreo.store.opening import open_store
from tests.local.parts import PostgresPart
from tests.outbox.emitting import Place
from tests.patience import patient


@pytest.fixture
async def postgres_url(
    postgres: PostgresPart, fresh_name: Callable[[str], str]
) -> AsyncGenerator[str]:
    """Return the URL of an empty database, which goes with the test."""
    name = fresh_name("outbox").replace("-", "_")
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
        return f"sqlite:///{tmp_path / 'outbox.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty store, of each kind in turn."""
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'outbox.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def place(any_url: str) -> AsyncGenerator[Place]:
    """Return the books of one service, in each kind of store in turn."""
    async with open_store(any_url) as store:
        yield Place(await store.ledger("shop", ["charge"]))

"""All three stores keep the contract of all stores."""

from pathlib import Path

import pytest

from choreo.testing.contract import StoreContract, StoreSetup
from tests.store.setups import make_effects, memory_setup, sql_setup, sqlite_url


class TestMemory(StoreContract):
    @pytest.fixture
    def setup(self) -> StoreSetup:
        return memory_setup()


class TestSqlite(StoreContract):
    @pytest.fixture
    async def setup(self, tmp_path: Path) -> StoreSetup:
        await make_effects(sqlite_url(tmp_path))
        return sql_setup(sqlite_url(tmp_path))


class TestPostgres(StoreContract):
    @pytest.fixture
    async def setup(self, postgres_url: str) -> StoreSetup:
        await make_effects(postgres_url)
        return sql_setup(postgres_url)


class TestPostgresShared(StoreContract):
    """Handlers share transactions, as they do on SQLite without being asked to."""

    @pytest.fixture
    async def setup(self, postgres_url: str) -> StoreSetup:
        await make_effects(postgres_url)
        return sql_setup(f"{postgres_url}&together=16&pool=2")


class TestSqliteUnshared(StoreContract):
    @pytest.fixture
    async def setup(self, tmp_path: Path) -> StoreSetup:
        await make_effects(sqlite_url(tmp_path))
        return sql_setup(f"{sqlite_url(tmp_path)}?together=1")

"""The registries that the client's suite runs against: one in this process, and a foreign one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from choreo.codec.schema_folder import SchemaFolder
from choreo.registry.local import LocalRegistry
from choreo_registry import HttpRegistry
from tests.local import RegistryPart
from tests.registry.shop import Counted, Sold


@pytest.fixture(name="local")
def _local() -> Iterator[LocalRegistry]:
    with LocalRegistry() as registry:
        yield registry


@pytest.fixture(name="registry")
def _registry(local: LocalRegistry) -> LocalRegistry:
    return local


@pytest.fixture(name="schemas")
def _schemas(tmp_path: Path) -> Path:
    folder = SchemaFolder(tmp_path / "schemas")
    for event in (Sold, Counted):
        folder.export(event)
    return folder.root


@pytest.fixture(name="url", params=["local", "schema_registry"])
def _url(request: pytest.FixtureRequest) -> str:
    found: LocalRegistry | RegistryPart = request.getfixturevalue(request.param)
    return found.url


@pytest.fixture(name="client")
async def _client(url: str) -> AsyncIterator[HttpRegistry]:
    async with HttpRegistry(url) as client:
        yield client

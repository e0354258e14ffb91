"""The registries that the client's suite runs against: one in this process, and a given one."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from choreo.codec.schema_folder import SchemaFolder
from choreo.registry.local import LocalRegistry
from choreo_registry import HttpRegistry
from tests.registry.shop import Counted, Sold

GIVEN = "CHOREO_TEST_REGISTRY"
"""URL of a real registry, as docker-compose.yml starts one."""


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


@pytest.fixture(name="url", params=["local", "given"])
def _url(request: pytest.FixtureRequest) -> str:
    if request.param == "local":
        registry: LocalRegistry = request.getfixturevalue("local")
        return registry.url
    given = os.environ.get(GIVEN)
    if given is None:
        pytest.skip(f"no real registry: set {GIVEN}")
    return given


@pytest.fixture(name="client")
async def _client(url: str) -> AsyncIterator[HttpRegistry]:
    async with HttpRegistry(url) as client:
        yield client

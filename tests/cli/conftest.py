from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Commands


@pytest.fixture(name="choreo")
def _choreo(tmp_path: Path) -> Iterator[Commands]:
    """Return what runs commands in a folder of the test's own."""
    commands = Commands(tmp_path)
    try:
        yield commands
    finally:
        commands.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that start interpreters the time that takes on a busy machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and (
            item.get_closest_marker("timeout") is None
        ):
            item.add_marker(pytest.mark.timeout(60))

"""What pytest gets from choreo: fixtures and markers, for whoever asks for them.

pytest loads this for every run wherever choreo is installed, so that nothing is imported here which
a fixture could import when it is asked for, and nothing changes for a test that asks for nothing.
"""

from collections.abc import Callable
from importlib import import_module

import pytest


@pytest.fixture
def choreo_world() -> Callable[..., object]:
    """Return Harness, with which a test makes a world of its services."""
    made: Callable[..., object] = import_module("choreo.testing.harness").Harness
    return made


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a project say whose lock is kept, and a run ask for it."""
    parser.addini("choreo_services", "Services whose lock is kept: module:attribute.", "linelist")
    parser.addini("choreo_lock", "File of the lock.", default="choreo.lock")
    parser.getgroup("choreo").addoption(
        "--choreo-lock",
        choices=("write", "check"),
        help="Write what services emit, take and read to their lock, or compare it.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have somebody look on where a lock is asked for."""
    task: str | None = config.getoption("--choreo-lock")
    if task is not None:
        module = import_module("choreo.testing.lock_recording")
        config.pluginmanager.register(module.recording(config, task), "choreo-lock")

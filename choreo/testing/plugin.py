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

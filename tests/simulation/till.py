"""The smallest choreography: one service with a store, of one process or two."""

from collections.abc import Sequence
from typing import Any

from choreo import Service
from tests.simulation import shop
from tests.simulation.shop import few

__all__ = ["few", "services"]


def services() -> Sequence[Service[Any]]:
    """Make the one that takes payments."""
    return shop.shop()[:1]

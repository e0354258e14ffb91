"""A service with a store that leads to one without, whose emits go straight to the broker."""

from collections.abc import Sequence
from typing import Any

from choreo import Service
from tests.simulation import shop
from tests.simulation.shop import few

__all__ = ["few", "services"]


def services() -> Sequence[Service[Any]]:
    """Make the one that takes payments, and the one that writes of them."""
    payments, _, _, post = shop.shop_and_post()
    return (payments, post)

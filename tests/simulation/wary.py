"""A service that leaves something behind in its context, and looks for what others left."""

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from choreo import Service
from choreo.testing.simulation import History, observe
from tests.simulation.shop import OrderPlaced, few, made

__all__ = ["few", "invariants", "services"]

CUSTOMER: ContextVar[str] = ContextVar("customer", default="")


def services() -> Sequence[Service[Any]]:
    """Make the one that is wary."""
    wary = made("wary")

    @wary.on(OrderPlaced)
    async def look(order: OrderPlaced) -> None:
        if CUSTOMER.get():
            observe("leaked", order.number)
        CUSTOMER.set(order.customer)

    return [wary]


def context_is_fresh(history: History) -> Iterator[str]:
    """Tell the events whose handler saw what another's had left (A10)."""
    for entry in history.observed("leaked"):
        yield f"order {entry.key} was handled in the context of another"


invariants = (context_is_fresh,)

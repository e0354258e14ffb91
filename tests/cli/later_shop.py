"""The shop in its next version, whose orders have another shape."""

from typing import Any

from choreo import Event, Service
from tests.cli.shop import STEM


class OrderPlaced(Event, topic=f"{STEM}-orders", key="order_id", version=2):
    order_id: str
    milliseconds: int


@OrderPlaced.upcast(from_version=1)
def in_milliseconds(old: dict[str, Any]) -> dict[str, Any]:
    return {"order_id": old["order_id"], "milliseconds": abs(old["total"])}


payments = Service(f"{STEM}-payments")


@payments.on(OrderPlaced)
async def charge(order: OrderPlaced) -> None: ...

"""One event of each kind that the example, or the framework itself, emits."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from choreo.event import Event
from choreo.resend import ResendRequested
from examples.order_fulfilment.events import (
    Item,
    OrderCancelled,
    OrderPlaced,
    OrderShipped,
    OutOfStock,
    PaymentDeclined,
    PaymentRefunded,
    PaymentTaken,
    StockReleased,
    StockReserved,
)

ORDER = UUID("0d2c6c5e-3a3f-4a5c-9d2e-1f6f0a7b1c11")
ITEMS = (
    Item(sku="lamp", quantity=1, price=Decimal("59.00")),
    Item(sku="kettle", quantity=3, price=Decimal("34.90")),
)
SAMPLES: Sequence[Event] = (
    ResendRequested(
        service="shop",
        handler="read",
        source="urn:device",
        stream="a",
        epoch=0,
        first=2,
        last=2**40,
    ),
    OrderPlaced(
        order_id=ORDER, customer="Ada", card="4000-0001", items=ITEMS, total=Decimal("163.70")
    ),
    OrderCancelled(order_id=ORDER, reason="out of stock"),
    PaymentTaken(order_id=ORDER, amount=Decimal("163.70"), receipt="receipt-1"),
    PaymentDeclined(order_id=ORDER, reason="no 163.70 to be had – sorry"),
    PaymentRefunded(order_id=ORDER, receipt="receipt-1"),
    StockReserved(order_id=ORDER, items=ITEMS),
    OutOfStock(order_id=ORDER, sku="unicorn"),
    StockReleased(order_id=ORDER),
    OrderShipped(order_id=ORDER, tracking="parcel-0d2c6c5e"),
)

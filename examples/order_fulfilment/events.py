"""What the services tell each other, and how the shop's own records are read."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from choreo import Event, Foreign, foreign

Quantity = Annotated[int, Field(gt=0)]
Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
"""Avro wants to know how many digits there are at most."""


class Item(BaseModel, frozen=True):
    """So many of one article, at its price each."""

    sku: str
    quantity: Quantity
    price: Money


class OrderReceived(
    Event, topic="shop", key="order_id", foreign=Foreign(id=foreign.Field("/order_id"))
):
    """The shop's record of an order: bare JSON, from a system that knows nothing of choreo."""

    order_id: UUID
    customer: str
    card: str
    items: tuple[Item, ...]


class OrderPlaced(Event, topic="orders", key="order_id"):
    """We have taken the order on."""

    order_id: UUID
    customer: str
    card: str
    items: tuple[Item, ...]
    total: Money


class OrderCancelled(Event, topic="orders", key="order_id"):
    """The order will not be fulfilled; whoever did something for it undoes that."""

    order_id: UUID
    reason: str


class PaymentTaken(Event, topic="payments", key="order_id"):
    """The money is ours."""

    order_id: UUID
    amount: Money
    receipt: str


class PaymentDeclined(Event, topic="payments", key="order_id"):
    """The card's bank refused."""

    order_id: UUID
    reason: str


class PaymentRefunded(Event, topic="payments", key="order_id"):
    """The money is the customer's again."""

    order_id: UUID
    receipt: str


class StockReserved(Event, topic="stock", key="order_id"):
    """The goods lie ready."""

    order_id: UUID
    items: tuple[Item, ...]


class OutOfStock(Event, topic="stock", key="order_id"):
    """Something ordered is not there."""

    order_id: UUID
    sku: str


class StockReleased(Event, topic="stock", key="order_id"):
    """The goods are back on the shelf."""

    order_id: UUID


class OrderShipped(Event, topic="shipments", key="order_id"):
    """The parcel is on its way."""

    order_id: UUID
    tracking: str

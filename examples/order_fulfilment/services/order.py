"""order: takes orders on from the shop, and knows how each of them ended."""

from decimal import Decimal
from uuid import UUID

from choreo import Reject, Service
from examples.order_fulfilment.events import (
    OrderCancelled,
    OrderPlaced,
    OrderReceived,
    OrderShipped,
    OutOfStock,
    PaymentDeclined,
)


class Book:
    """How orders ended; the first end stays."""

    def __init__(self) -> None:
        self._ends: dict[UUID, str] = {}

    def close(self, order_id: UUID, end: str) -> str:
        """Note that the order ended so, and say how it really did."""
        return self._ends.setdefault(order_id, end)


order = Service("order", owner="shop")
order.provide(Book, Book)


@order.on(OrderReceived)
async def accept(received: OrderReceived) -> OrderPlaced:
    """Take an order on, unless there is nothing in it."""
    if not received.items:
        raise Reject("an order without items can never be fulfilled")
    return OrderPlaced(
        order_id=received.order_id,
        customer=received.customer,
        card=received.card,
        items=received.items,
        total=sum((item.price * item.quantity for item in received.items), Decimal(0)),
    )


@order.on(PaymentDeclined)
async def give_up_unpaid(declined: PaymentDeclined, book: Book) -> OrderCancelled:
    """Cancel what nobody pays for."""
    reason = book.close(declined.order_id, "payment declined")
    return OrderCancelled(order_id=declined.order_id, reason=reason)


@order.on(OutOfStock)
async def give_up_missing(missing: OutOfStock, book: Book) -> OrderCancelled:
    """Cancel what cannot be delivered."""
    reason = book.close(missing.order_id, "out of stock")
    return OrderCancelled(order_id=missing.order_id, reason=reason)


@order.on(OrderShipped)
async def complete(shipped: OrderShipped, book: Book) -> None:
    """Close the order."""
    book.close(shipped.order_id, "shipped")

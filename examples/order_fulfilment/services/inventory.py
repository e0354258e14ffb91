"""inventory: lays goods ready for orders, and takes them back from orders that nobody pays."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from choreo import Retry, RetryLater, Service
from examples.order_fulfilment.events import (
    Item,
    OrderPlaced,
    OutOfStock,
    PaymentDeclined,
    StockReleased,
    StockReserved,
)

STOCK = {"kettle": 2_000, "lamp": 2_000, "teapot": 2_000, "umbrella": 2_000, "unicorn": 0}
SOON = timedelta(milliseconds=50)


class Shelf:
    """What is free and what lies ready; asked again about an order, it decides the same."""

    def __init__(self) -> None:
        self.free = Counter(STOCK)
        self.ready: dict[UUID, Counter[str]] = {}
        self.missing: dict[UUID, str | None] = {}

    def reserve(self, order_id: UUID, items: Sequence[Item]) -> str | None:
        """Lay *items* ready, all or none; return an article that is missing, if one is."""
        if order_id not in self.missing:
            wanted = Counter[str]()
            for item in items:
                wanted[item.sku] += item.quantity
            missing = next((sku for sku in wanted if wanted[sku] > self.free[sku]), None)
            if missing is None:
                self.free.subtract(wanted)
                self.ready[order_id] = wanted
            self.missing[order_id] = missing
        return self.missing[order_id]

    def release(self, order_id: UUID) -> bool:
        """Put back what was laid ready; False if nothing ever was."""
        if order_id not in self.ready:
            return False
        self.free.update(self.ready[order_id])
        self.ready[order_id] = Counter()
        return True


inventory = Service("inventory", owner="warehouse")
inventory.provide(Shelf, Shelf)


@inventory.on(OrderPlaced)
async def reserve(order: OrderPlaced, shelf: Shelf) -> StockReserved | OutOfStock:
    """Lay everything ready that was ordered, or say what is missing."""
    missing = shelf.reserve(order.order_id, order.items)
    if missing is None:
        return StockReserved(order_id=order.order_id, items=order.items)
    return OutOfStock(order_id=order.order_id, sku=missing)


@inventory.on(PaymentDeclined, retry=Retry(attempts=100))
async def release(declined: PaymentDeclined, shelf: Shelf) -> StockReleased | None:
    """Put the goods back, once it is known whether any were laid ready."""
    if declined.order_id not in shelf.missing:
        raise RetryLater(SOON, "the order was not seen yet")
    return StockReleased(order_id=declined.order_id) if shelf.release(declined.order_id) else None

"""shipping: sends a parcel once the order is paid and the goods lie ready, in either order."""

from uuid import UUID

from choreo import Service
from examples.order_fulfilment.events import OrderShipped, PaymentTaken, StockReserved


class Dock:
    """What is known of each order; a parcel leaves when both halves are there."""

    def __init__(self) -> None:
        self.paid: set[UUID] = set()
        self.ready: set[UUID] = set()

    def ship(self, order_id: UUID) -> OrderShipped | None:
        """Send the parcel if it may go; a handler run again says so again, with the same number."""
        if order_id in self.paid and order_id in self.ready:
            return OrderShipped(order_id=order_id, tracking=f"parcel-{order_id.hex[:8]}")
        return None


shipping = Service("shipping", owner="warehouse")
shipping.provide(Dock, Dock)


@shipping.on(PaymentTaken)
async def on_payment(taken: PaymentTaken, dock: Dock) -> OrderShipped | None:
    """Note that the order is paid."""
    dock.paid.add(taken.order_id)
    return dock.ship(taken.order_id)


@shipping.on(StockReserved)
async def on_stock(reserved: StockReserved, dock: Dock) -> OrderShipped | None:
    """Note that the goods lie ready."""
    dock.ready.add(reserved.order_id)
    return dock.ship(reserved.order_id)

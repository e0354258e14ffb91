"""notification: tells customers how their orders end."""

from uuid import UUID

from choreo import Service
from examples.order_fulfilment.events import OrderCancelled, OrderShipped


class Mailbox(dict[UUID, str]):
    """The one letter that goes out for each order."""


notification = Service("notification", owner="shop")
notification.provide(Mailbox, Mailbox)


@notification.on(OrderShipped)
def write_shipped(shipped: OrderShipped, mailbox: Mailbox) -> None:
    """Send the tracking number; a plain function, for mail servers make one wait."""
    mailbox[shipped.order_id] = f"Your parcel is on its way: {shipped.tracking}."


@notification.on(OrderCancelled)
def write_cancelled(cancelled: OrderCancelled, mailbox: Mailbox) -> None:
    """Send the regrets."""
    mailbox[cancelled.order_id] = f"We are sorry, your order is cancelled: {cancelled.reason}."

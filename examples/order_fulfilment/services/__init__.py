"""The five services: ``choreo run examples.order_fulfilment.services:payment``."""

from examples.order_fulfilment.services.inventory import inventory
from examples.order_fulfilment.services.notification import notification
from examples.order_fulfilment.services.order import order
from examples.order_fulfilment.services.payment import payment
from examples.order_fulfilment.services.shipping import shipping

__all__ = ["inventory", "notification", "order", "payment", "shipping"]

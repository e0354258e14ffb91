"""Events: how classes are declared, made and kept as they are."""

from decimal import Decimal
from uuid import UUID, uuid4

from choreo import Digest, Event, Field, Foreign, Header, Position


class OrderPlaced(
    Event, topic="orders", key="order_id", version=2, sequence="number", idempotency_key="order_id"
):
    order_id: UUID
    number: int
    total: Decimal = Decimal(0)


class Parent(Event, domain="com.example"):
    """No topic: a parent for others."""


class Measured(
    Parent,
    topic="building/{building}/temperature",
    key="building",
    name="Temperature",
    retain=True,
    foreign=Foreign(id=Digest(), type=Field("/kind"), equals="t", time=Header("sent")),
):
    building: str
    celsius: float


class Titled(Event, topic="titled", title="a class argument of pydantic's"):
    id: int


order = OrderPlaced(order_id=uuid4(), number=1)
total: Decimal = order.total
changed: OrderPlaced = order.model_copy(update={"number": 2})

OrderPlaced(number=1)  # error -- a field is missing
OrderPlaced(order_id="no-uuid", number=1)  # error: pyright
OrderPlaced(order_id=uuid4(), number=1, colour="red")  # error: pyright
OrderPlaced(uuid4(), 1)  # error -- fields go by name
order.number = 2  # error: mypy -- events are frozen, by configuration, which pyright does not read
order.colour  # error
wrong: int = order.total  # error

# Class arguments are checked when the class is made: neither checker looks at them where a metaclass is.

Foreign()  # error -- an id must be found or derived
Foreign(id="id")  # error
Foreign(id=Digest(), type=Position())  # error -- a type is text
Foreign(id=Digest(), content_type="text/plain")  # error

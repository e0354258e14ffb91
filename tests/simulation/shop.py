"""A choreography of three services and its scenario: every kind of handler, every kind of end."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from choreo import Context, Event, Reject, Retry, Service
from choreo.park import Park
from choreo.store.memory import MemoryTransaction
from choreo.testing.simulation import World

SOON = Retry(attempts=3, initial=timedelta(milliseconds=200), maximum=timedelta(seconds=1))
PARK = Park(
    attempts=3, initial=timedelta(seconds=1), maximum=timedelta(seconds=4), then="dead_letter"
)


class OrderPlaced(Event, topic="orders", key="customer"):
    customer: str
    number: int
    mood: str = "plain"


class PaymentTaken(Event, topic="payments", key="customer"):
    customer: str
    number: int
    mood: str = "plain"


class OrderShipped(Event, topic="shipments", key="customer"):
    customer: str
    number: int


class ReceiptSent(Event, topic="receipts", key="customer"):
    customer: str
    number: int


MOODS = ("plain",) * 6 + ("stolen", "shaky", "stuck")
"""How an order fares: well, rejected, retried by chance, or parked until it is given up."""


def shop() -> Sequence[Service[Any]]:
    """Make the three services, each with a store."""
    payments = made("payments")
    shipping = made("shipping")
    ledger = made("ledger")

    @payments.on(OrderPlaced)
    async def charge(order: OrderPlaced, ctx: Context) -> PaymentTaken:
        if order.mood == "stolen":
            raise Reject("a stolen card")
        if order.mood == "shaky" and ctx.attempt < 2:
            raise ConnectionError("the bank does not answer")
        return PaymentTaken(customer=order.customer, number=order.number, mood=order.mood)

    @shipping.on(PaymentTaken, on_failure=PARK)
    async def ship(paid: PaymentTaken, ctx: Context[MemoryTransaction]) -> OrderShipped:
        count = ctx.transaction.get(paid.customer, 0)
        ctx.transaction[paid.customer] = count + 1
        if paid.mood == "stuck":
            raise LookupError("no such address")
        return OrderShipped(customer=paid.customer, number=paid.number)

    @ledger.on(OrderPlaced)
    def book_order(order: OrderPlaced) -> None:
        """Run in what is a thread elsewhere."""

    @ledger.on(OrderShipped)
    async def book(shipped: OrderShipped, ctx: Context[MemoryTransaction]) -> None:
        booked = ctx.transaction.get(shipped.customer, ())
        ctx.transaction[shipped.customer] = (*booked, shipped.number)

    return (payments, shipping, ledger)


def shop_and_post() -> Sequence[Service[Any]]:
    """Make them and a fourth, which has no store: what it emits goes straight to the broker."""
    *three, ledger = shop()
    post: Service[Any] = Service("post", retry=SOON, schemas=Path("no schemas"))

    @post.on(PaymentTaken)
    async def write(paid: PaymentTaken) -> ReceiptSent:
        return ReceiptSent(customer=paid.customer, number=paid.number)

    @ledger.on(ReceiptSent)
    async def file(sent: ReceiptSent, ctx: Context[MemoryTransaction]) -> None:
        ctx.transaction[f"receipts of {sent.customer}"] = sent.number

    return (*three, ledger, post)


def made(name: str) -> Service[MemoryTransaction]:
    """Make a service that holds no handler back for longer than half a minute."""
    patience = timedelta(seconds=30)
    return Service(
        name,
        store="memory://",
        retry=SOON,
        outage_limit=patience,
        schemas=Path("no schemas"),
        quarantine=4 if name == "payments" else 3,  # the one in parties, the other alone
    )


async def orders(world: World, count: int = 24) -> None:
    """Place orders of a few customers, one after the other."""
    for number in range(count):
        customer = f"customer-{world.random.randrange(4)}"
        mood = world.random.choice(MOODS)
        await world.publish(OrderPlaced(customer=customer, number=number, mood=mood))
        await world.sleep(world.random.expovariate(2.0))


async def few(world: World) -> None:
    """Place one order, or a handful: many small worlds show more than few large ones."""
    await orders(world, world.random.randint(1, 10))


services = shop
"""What ``choreo simulate tests.simulation.shop:orders`` runs."""

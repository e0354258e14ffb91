"""Handlers: what ``on`` takes and what it does not."""

from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from datetime import timedelta

from choreo import Context, Event, Reject, Retry, RetryLater, Router, Service


class OrderPlaced(Event, topic="orders", key="order_id"):
    order_id: int
    total: int


class PaymentTaken(Event, topic="payments", key="order_id"):
    order_id: int


class PaymentDeclined(Event, topic="payments", key="order_id"):
    order_id: int


class Gateway:
    async def charge(self, amount: int) -> bool:
        return amount < 100


shop = Service("shop", broker="memory://", concurrency=10)
router = Router()
shop.include(router)

# ── right ─────────────────────────────────────────────────────────────────────────────────────────


@shop.on(OrderPlaced)
async def nothing(order: OrderPlaced) -> None: ...


@shop.on(OrderPlaced, id="charge-v2", retry=Retry(attempts=3), deadline=timedelta(seconds=5))
async def charge(
    order: OrderPlaced, ctx: Context, gateway: Gateway
) -> PaymentTaken | PaymentDeclined | None:
    await ctx.publish(PaymentTaken(order_id=order.order_id))
    if order.total < 0:
        raise Reject("no")
    if order.total == 0:
        raise RetryLater(timedelta(seconds=1))
    if await gateway.charge(order.total):
        return PaymentTaken(order_id=order.order_id)
    return PaymentDeclined(order_id=order.order_id)


@router.on(OrderPlaced, when=lambda order: order.total > 100)
def in_a_thread(order: OrderPlaced) -> PaymentTaken:
    return PaymentTaken(order_id=order.order_id)


@router.on(OrderPlaced)
async def several(order: OrderPlaced) -> Sequence[PaymentTaken | PaymentDeclined]:
    return [PaymentTaken(order_id=order.order_id)]


@router.on(OrderPlaced)
async def pair(order: OrderPlaced) -> tuple[PaymentTaken, PaymentDeclined]:
    return PaymentTaken(order_id=1), PaymentDeclined(order_id=2)


@router.on(OrderPlaced)
async def stream(order: OrderPlaced) -> AsyncIterator[PaymentTaken]:
    yield PaymentTaken(order_id=order.order_id)


@router.on(OrderPlaced)
def iterator(order: OrderPlaced) -> Iterable[PaymentTaken]:
    yield PaymentTaken(order_id=order.order_id)


@router.on(OrderPlaced)
async def any_event(event: Event) -> None: ...


@router.on(OrderPlaced)
async def union(event: OrderPlaced | PaymentTaken) -> None: ...


async def both(event: OrderPlaced | PaymentTaken) -> None: ...


router.on(OrderPlaced)(both)
router.on(PaymentTaken, id="both-again")(both)


@router.on(OrderPlaced, publishes=[PaymentTaken, PaymentDeclined])
async def declared(order: OrderPlaced, ctx: Context) -> None:
    await ctx.publish(PaymentTaken(order_id=order.order_id))


class Counting:
    @property
    def count(self) -> int:
        return 0

    async def __call__(self, order: OrderPlaced) -> None: ...


shop.on(OrderPlaced, id="counting")(Counting())

# What ``on`` returns is the function itself: callable in a unit test as what it is.
called: Awaitable[PaymentTaken | PaymentDeclined | None] = charge(
    OrderPlaced(order_id=1, total=2), shop_context := Context.__new__(Context), Gateway()
)
direct: PaymentTaken = in_a_thread(OrderPlaced(order_id=1, total=1))
charge("no order", shop_context, Gateway())  # error
in_a_thread()  # error

# ── wrong ─────────────────────────────────────────────────────────────────────────────────────────


@shop.on(OrderPlaced)  # error
async def other_event(event: PaymentTaken) -> None: ...


@shop.on(OrderPlaced)  # error
async def no_event(order: int) -> None: ...


@shop.on(OrderPlaced)  # error
async def takes_nothing() -> None: ...


@shop.on(OrderPlaced)  # error
async def by_keyword(*, order: OrderPlaced) -> None: ...


@shop.on(OrderPlaced)  # error
async def returns_number(order: OrderPlaced) -> int:
    return order.order_id


@shop.on(OrderPlaced)  # error
def returns_number_in_thread(order: OrderPlaced) -> int:
    return order.order_id


@shop.on(OrderPlaced)  # error
async def returns_numbers(order: OrderPlaced) -> list[int]:
    return [order.order_id]


@shop.on(OrderPlaced)  # error
async def returns_event_or_number(order: OrderPlaced) -> PaymentTaken | int:
    return 1


@shop.on(OrderPlaced)  # error
async def yields_numbers(order: OrderPlaced) -> AsyncIterator[int]:
    yield order.order_id


@shop.on(OrderPlaced)  # error
async def returns_class(order: OrderPlaced) -> type[PaymentTaken]:
    return PaymentTaken


@shop.on(int)  # error
async def on_no_event(number: int) -> None: ...


@shop.on("OrderPlaced")  # error
async def on_a_name(order: OrderPlaced) -> None: ...


@shop.on  # error
async def without_event(order: OrderPlaced) -> None: ...


def wants_payments(payment: PaymentTaken) -> bool:
    return payment.order_id > 0


shop.on(OrderPlaced, when=wants_payments)  # error
shop.on(OrderPlaced, when=lambda order: order.price > 1)  # error
shop.on(OrderPlaced, when=lambda order: "yes")  # error
shop.on(OrderPlaced, publishes=[int])  # error
shop.on(OrderPlaced, publishes=PaymentTaken)  # error
shop.on(OrderPlaced, publishes=[PaymentTaken(order_id=1)])  # error
shop.on(OrderPlaced, deadline=5)  # error
shop.on(OrderPlaced, retry=3)  # error
shop.on(OrderPlaced, retries=3)  # error
shop.on(OrderPlaced, "charge")  # error

"""Services: providing, including, publishing, settings."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from decimal import Decimal

from choreo import Context, Event, Retry, RetryLater, Router, Service, Settings
from choreo.runner import started
from choreo.testing import Harness, ManualClock


class OrderPlaced(Event, topic="orders", key="order_id"):
    order_id: int


class PaymentTaken(Event, topic="payments", key="order_id"):
    order_id: int


class Gateway:
    def __init__(self, url: str = "") -> None:
        self.url = url


class FakeGateway(Gateway): ...


async def make_gateway() -> Gateway:
    return Gateway()


@asynccontextmanager
async def open_gateway() -> AsyncGenerator[Gateway]:
    yield Gateway()


@contextmanager
def connect_gateway() -> Generator[Gateway]:
    yield Gateway()


@asynccontextmanager
async def lifespan(service: Service) -> AsyncGenerator[None]:
    yield


@asynccontextmanager
async def wrong_lifespan() -> AsyncGenerator[None]:
    yield


async def timed(ctx: Context, call: object) -> None: ...


async def make_number() -> int:
    return 1


def make_text() -> str:
    return ""


shop = Service("shop")
Service("shop", broker="kafka://localhost:9092", retry=Retry(attempts=2), lifespan=lifespan)
Service("shop", concurrency=7, drain=timedelta(seconds=3), order="key", schemas="contracts")
Settings(broker="memory://", deadline=timedelta(seconds=5))
shop.provide(Gateway, Gateway())
shop.provide(Gateway, Gateway)
shop.provide(Gateway, FakeGateway())
shop.provide(Gateway, FakeGateway)
shop.provide(Gateway, make_gateway)
shop.provide(Gateway, open_gateway)
shop.provide(Gateway, connect_gateway)
shop.provide(Gateway, lambda: Gateway("https://example.com"))
shop.include(Router())

# pyright widens the provided type to Gateway | int; the call raises ConfigurationError.
shop.provide(Gateway, 1)  # error: mypy
shop.provide(Gateway, "https://example.com")  # error: mypy
shop.provide(Gateway, make_number)  # error: mypy
shop.provide(Gateway, make_text)  # error: mypy
shop.provide(Gateway)  # error
shop.include(OrderPlaced)  # error
Service()  # error
Service(1)  # error
Service("shop", retry=3)  # error
Service("shop", broker=9092)  # error
Service("shop", lifespan=wrong_lifespan)  # error
Service("shop", "memory://")  # error
Service("shop", brokr="memory://")  # error
Service("shop", concurrency="many")  # error
Service("shop", drain=3)  # error
Service("shop", order="random")  # error
Harness(shop, concurency=1)  # error
Harness(shop, codec="xml")  # error
Settings(order="lane")  # error: pyright -- the pydantic plugin of mypy takes any value by default
Settings(prefetsch=5)  # error
Retry(attempts="3")  # error
Retry(initial=1.5)  # error -- durations are timedelta
Retry(3)  # error
Retry(attempts=3).attempts = 4  # error -- a policy is frozen
RetryLater(30)  # error


async def publishing(ctx: Context) -> None:
    identity: str = await shop.publish(OrderPlaced(order_id=1))
    identities: list[str] = await shop.publish_many([OrderPlaced(order_id=1)])
    await ctx.publish(OrderPlaced(order_id=1))
    key: str = ctx.idempotency_key("charge")
    attempt: int = ctx.attempt
    print(identity, identities, key, attempt)
    async with started(shop) as running:
        await running.wait()
    await shop.publish({"order_id": 1})  # error
    await shop.publish(OrderPlaced)  # error
    await shop.publish(OrderPlaced(order_id=1), PaymentTaken(order_id=1))  # error
    await shop.publish_many(OrderPlaced(order_id=1))  # error
    await ctx.publish("OrderPlaced")  # error
    await ctx.publish(None)  # error
    shop.publish(OrderPlaced(order_id=1))  # error -- nobody awaits it


@shop.on(OrderPlaced)
async def charge(order: OrderPlaced, gateway: Gateway) -> PaymentTaken:
    return PaymentTaken(order_id=order.order_id)


async def testing() -> None:
    async with Harness(shop, clock=ManualClock()) as world:
        await world.publish(OrderPlaced(order_id=1))
        await world.settle(within=timedelta(seconds=1))
        taken: list[PaymentTaken] = world.published(PaymentTaken)
        handled: list[OrderPlaced] = world.handled(charge)
        wrong: list[OrderPlaced] = world.published(PaymentTaken)  # error
        other: list[PaymentTaken] = world.handled(charge)  # error
        world.published(int)  # error
        world.published(PaymentTaken(order_id=1))  # error
        await world.publish(Decimal(1))  # error
        await world.settle(1.0)  # error
        print(taken, handled, wrong, other)
    Harness("shop")  # error

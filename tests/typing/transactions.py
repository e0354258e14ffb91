"""Transactions: which handlers a service takes, given what its store's transactions are."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any, NamedTuple, NewType, Protocol, assert_type

from choreo import Context, Event, Router, Service
from choreo.runner import run, started
from choreo.store.port import Store
from choreo.testing import Harness


class OrderPlaced(Event, topic="orders", key="order_id"):
    order_id: int


class PaymentTaken(Event, topic="payments", key="order_id"):
    order_id: int


class Sql:
    rows: int = 0


class Postgres(Sql): ...


class Redis: ...


class Gateway: ...


@dataclass
class Limits:
    most: int = 3


class Point(NamedTuple):
    x: int


class Colour(Enum):
    RED = 1


class Clock(Protocol):
    zone: str

    @property
    def rate(self) -> float: ...
    def now(self) -> float: ...


class Charge(Protocol):
    async def __call__(self, amount: int) -> bool: ...


Tenant = NewType("Tenant", str)

# ── what a service is ─────────────────────────────────────────────────────────────────────────────


def services(sql: Store[Sql], postgres: Store[Postgres], nothing: Store) -> None:
    assert_type(Service("shop"), Service)
    assert_type(Service("shop"), Service[object])
    assert_type(Service("shop", store=sql), Service[Sql])
    assert_type(Service("shop", store=postgres), Service[Postgres])
    assert_type(Service("shop", store=nothing), Service[None])
    assert_type(Service("shop", store="sqlite:///shop.db"), Service[object])
    assert_type(Service[Sql]("shop", store="sqlite:///shop.db"), Service[Sql])
    by_annotation: Service[Sql] = Service("shop", store="sqlite:///shop.db")
    any_sql: Service[Sql] = Service("shop", store=postgres)
    any_service: Service = Service("shop", store=sql)
    assert_type(Router(), Router)
    assert_type(Router[Sql](), Router[Sql])
    print(by_annotation, any_sql, any_service)

    other: Service[Redis] = Service("shop", store=sql)  # error
    less: Service[Postgres] = Service("shop", store=sql)  # error
    Service("shop", store=1)  # error
    Service("shop", store=Sql())  # error
    Service[Redis]("shop", store=sql)  # error
    print(other, less)


shop = Service[Sql]("shop")
bare = Service("bare")
router = Router[Sql]()
plain_router = Router()

# ── what a handler gets ───────────────────────────────────────────────────────────────────────────


async def asks(ctx: Context[Sql]) -> None:
    assert_type(ctx.transaction, Sql)
    ctx.transaction.rows += 1
    await remark(ctx)
    await writes(ctx)  # error -- it needs more than this one gives


async def remark(ctx: Context) -> None:
    assert_type(ctx, Context[object])
    await ctx.publish(PaymentTaken(order_id=1))
    ctx.transaction.rows  # error
    await asks(ctx)  # error


async def writes(ctx: Context[Postgres]) -> None:
    await asks(ctx)


# ── right ─────────────────────────────────────────────────────────────────────────────────────────


@shop.on(OrderPlaced, on_failure="park")
async def nothing(order: OrderPlaced) -> None: ...


@shop.on(OrderPlaced, on_failure="halt", lease=timedelta(seconds=30))
async def plain(order: OrderPlaced, ctx: Context) -> None: ...


@shop.on(OrderPlaced)
async def first(order: OrderPlaced, ctx: Context[Sql], gateway: Gateway) -> PaymentTaken | None: ...


@shop.on(OrderPlaced)
async def second(
    order: OrderPlaced, gateway: Gateway, ctx: Context[Sql]
) -> PaymentTaken | None: ...


@shop.on(OrderPlaced)
async def many(
    order: OrderPlaced, gateway: Gateway, limits: Limits, clock: Clock, ctx: Context[Sql]
) -> None: ...


@shop.on(OrderPlaced)
async def stream(order: OrderPlaced, ctx: Context[Sql]) -> AsyncIterator[PaymentTaken]:
    yield PaymentTaken(order_id=ctx.transaction.rows)


@shop.on(OrderPlaced)
def in_a_thread(order: OrderPlaced, ctx: Context[Sql], limit: int = 3) -> PaymentTaken:
    return PaymentTaken(order_id=limit)


@shop.on(OrderPlaced)
async def by_keyword(order: OrderPlaced, ctx: Context[Sql], *, gateway: Gateway) -> None: ...


@shop.on(OrderPlaced)
async def with_default(order: OrderPlaced, *, limit: int = 3) -> None: ...


@shop.on(OrderPlaced)
async def parent(event: Event, ctx: Context[Sql]) -> None: ...


@shop.on(OrderPlaced)
async def dataclass_dependency(order: OrderPlaced, limits: Limits) -> None: ...


@shop.on(OrderPlaced)
async def protocol_dependency(order: OrderPlaced, clock: Clock, ctx: Context) -> None: ...


@shop.on(OrderPlaced)
async def callback_protocol(order: OrderPlaced, charge: Charge) -> None: ...


@shop.on(OrderPlaced)
async def protocol_in_third_place(order: OrderPlaced, g: Gateway, clock: Clock) -> None: ...


@bare.on(OrderPlaced)
async def odd_dependencies(order: OrderPlaced, point: Point, colour: Colour) -> None: ...


@bare.on(OrderPlaced)
async def odder_dependencies(order: OrderPlaced, tenant: Tenant, kind: type[Gateway]) -> None: ...


@bare.on(OrderPlaced)
async def oddest(order: OrderPlaced, call: Callable[[int], str], error: ValueError) -> None: ...


@bare.on(OrderPlaced)
async def anything(order: OrderPlaced, value: object, other: Any) -> None: ...


@bare.on(OrderPlaced)
async def without_store(order: OrderPlaced, ctx: Context, gateway: Gateway) -> None: ...


class Charging:
    async def __call__(self, order: OrderPlaced, ctx: Context[Sql]) -> None: ...

    async def method(self, order: OrderPlaced, gateway: Gateway, ctx: Context[Sql]) -> None: ...

    @classmethod
    async def of_class(cls, order: OrderPlaced, ctx: Context) -> None: ...

    @staticmethod
    @router.on(OrderPlaced)
    async def static(order: OrderPlaced, ctx: Context[Sql]) -> None: ...


shop.on(OrderPlaced, id="object")(Charging())
shop.on(OrderPlaced, id="method")(Charging().method)
shop.on(OrderPlaced, id="of-class")(Charging.of_class)
shop.on(OrderPlaced, id="partial")(partial(in_a_thread, limit=4))
shop.on(OrderPlaced, id="lambda")(lambda order: None)  # error: pyright -- what is order?

# A handler keeps its own type, down to the names of its parameters.


async def called(order: OrderPlaced, ctx: Context[Sql], gateway: Gateway) -> None:
    assert_type(await first(order=order, ctx=ctx, gateway=gateway), PaymentTaken | None)
    assert_type(await second(order, gateway, ctx=ctx), PaymentTaken | None)
    assert_type(in_a_thread(order, ctx), PaymentTaken)
    await by_keyword(order, ctx, gateway=gateway)
    await parent(PaymentTaken(order_id=1), ctx)
    await first(order, gateway, ctx)  # error
    await first(order, ctx, gate=gateway)  # error
    async for taken in stream(order, ctx):
        assert_type(taken, PaymentTaken)


# ── wrong ─────────────────────────────────────────────────────────────────────────────────────────


@shop.on(OrderPlaced)  # error -- another store's transaction
async def other_store(order: OrderPlaced, ctx: Context[Redis]) -> None: ...


@shop.on(OrderPlaced)  # error
async def more_than_given(order: OrderPlaced, ctx: Context[Postgres]) -> None: ...


@shop.on(OrderPlaced)  # error
async def other_and_dependency(order: OrderPlaced, ctx: Context[Redis], g: Gateway) -> None: ...


@shop.on(OrderPlaced)  # error
async def other_and_keyword(order: OrderPlaced, ctx: Context[Redis], *, g: Gateway) -> None: ...


@shop.on(OrderPlaced)  # error
async def other_in_third_place(order: OrderPlaced, g: Gateway, ctx: Context[Redis]) -> None: ...


@shop.on(OrderPlaced)  # error
def other_in_thread(order: OrderPlaced, ctx: Context[Redis]) -> None: ...


@shop.on(OrderPlaced)  # error
async def other_stream(order: OrderPlaced, ctx: Context[Redis]) -> AsyncIterator[PaymentTaken]:
    yield PaymentTaken(order_id=1)


@bare.on(OrderPlaced)  # error -- no store, no transaction
async def no_store(order: OrderPlaced, ctx: Context[Sql]) -> None: ...


@bare.on(OrderPlaced)  # error
async def no_store_and_dependency(order: OrderPlaced, g: Gateway, ctx: Context[Sql]) -> None: ...


@plain_router.on(OrderPlaced)  # error
async def plain_routed(order: OrderPlaced, ctx: Context[Sql]) -> None: ...


@router.on(OrderPlaced)  # error
async def other_routed(order: OrderPlaced, ctx: Context[Redis]) -> None: ...


@shop.on(OrderPlaced)  # error: mypy -- it always gets one
async def perhaps(order: OrderPlaced, ctx: Context[Redis] | None) -> None: ...


class OtherCharging:
    async def __call__(self, order: OrderPlaced, ctx: Context[Redis]) -> None: ...

    async def method(self, order: OrderPlaced, gateway: Gateway, ctx: Context[Redis]) -> None: ...


shop.on(OrderPlaced)(OtherCharging())  # error
shop.on(OrderPlaced)(OtherCharging().method)  # error

# No shape of a function says "whatever it takes by keyword", except behind a Context.


@shop.on(OrderPlaced)  # error
async def keyword_only(order: OrderPlaced, *, gateway: Gateway) -> None: ...


@shop.on(OrderPlaced)  # error: pyright
async def protocols_only(order: OrderPlaced, charge: Charge, *, clock: Clock) -> None: ...


@shop.on(OrderPlaced, on_failure="retry")  # error
async def unknown_policy(order: OrderPlaced) -> None: ...


@shop.on(OrderPlaced, lease=30)  # error
async def bare_number(order: OrderPlaced) -> None: ...


# ── routers ───────────────────────────────────────────────────────────────────────────────────────

shop.include(router)
shop.include(plain_router)
router.include(plain_router)
bare.include(plain_router)
bare.include(router)  # error
plain_router.include(router)  # error
shop.include(Router[Redis]())  # error
shop.include(Router[Postgres]())  # error
shop.include(bare)  # error -- a service is no part of another

# ── around a service ──────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def any_lifespan(service: Service) -> AsyncGenerator[None]:
    yield


@asynccontextmanager
async def sql_lifespan(service: Service[Sql]) -> AsyncGenerator[None]:
    yield


async def running(sql: Store[Sql], redis: Store[Redis]) -> None:
    whole = Service("whole", store=sql, lifespan=any_lifespan)
    assert_type(whole, Service[Sql])
    assert_type(Service("whole", store=sql, lifespan=sql_lifespan), Service[Sql])
    both: list[Service] = [whole, bare]
    async with started(whole), Harness(whole, bare), Harness(*both):
        await run(whole)
    Service("whole", store=redis, lifespan=sql_lifespan)  # error

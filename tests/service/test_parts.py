"""What handlers are given and what surrounds them: dependencies, filters, middleware, lifespan."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

import pytest

from choreo import ConfigurationError, Context, Event, Retry, Router, Service
from choreo.middleware import Call
from choreo.runner import started
from choreo.testing import Harness


class Placed(Event, topic="orders", key="order"):
    order: str


class Paid(Event, topic="payments", key="order"):
    order: str
    note: str = ""


class Gateway:
    def __init__(self, name: str) -> None:
        self.name = name


async def test_a_dependency_is_made_once_and_left_when_the_service_stops() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def by_async_manager() -> AsyncGenerator[Gateway]:
        log.append("open")
        yield Gateway("async manager")
        log.append("close")

    shop = Service("shop")
    shop.provide(Gateway, by_async_manager)
    names: list[str] = []

    @shop.on(Placed)
    async def charge(_: Placed, gateway: Gateway) -> None:
        names.append(gateway.name)

    async with Harness(shop) as world:
        for number in range(3):
            await world.publish(Placed(order=str(number)))
        await world.settle()
        assert log == ["open"]

    assert names == ["async manager"] * 3
    assert log == ["open", "close"]


@contextmanager
def by_manager() -> Generator[Gateway]:
    yield Gateway("manager")


async def by_coroutine() -> Gateway:
    return Gateway("coroutine")


def by_function() -> Gateway:
    return Gateway("function")


@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (by_manager, "manager"),
        (by_coroutine, "coroutine"),
        (by_function, "function"),
        (Gateway("value"), "value"),
    ],
)
async def test_a_dependency_comes_from_whatever_makes_it(factory: object, name: str) -> None:
    shop = Service("shop")
    shop.provide(Gateway, factory)  # type: ignore[arg-type]  # each of its kinds in turn
    names: list[str] = []

    # No type checker can be told to take what is asked for by keyword alone.
    @shop.on(Placed)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
    async def charge(_: Placed, *, gateway: Gateway, ctx: Context) -> None:
        names.append(f"{gateway.name} {ctx.attempt}")

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    assert names == [f"{name} 1"]


async def test_a_missing_dependency_stops_the_start_with_its_name() -> None:
    shop = Service("shop", broker="memory://missing")

    @shop.on(Placed)
    async def charge(_: Placed, gateway: Gateway) -> None: ...

    with pytest.raises(ConfigurationError, match=r"charge .* needs gateway: Gateway"):
        async with started(shop):
            pass


class Charging(Protocol):
    """What a handler asks for without naming who does it."""

    name: str


async def test_a_dependency_may_be_asked_for_by_protocol() -> None:
    shop = Service("shop")
    shop.provide(Charging, lambda: Gateway("made"))  # type: ignore[type-abstract]  # by protocol
    names: list[str] = []

    @shop.on(Placed)
    async def charge(_: Placed, charging: Charging) -> None:
        names.append(charging.name)

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    assert names == ["made"]


@pytest.mark.parametrize(
    ("factory", "complaint"),
    [
        (lambda: 3, r"its factory made a int, which is no Gateway"),
        (Gateway, r"its factory is called without arguments"),
    ],
)
async def test_a_factory_of_something_else_stops_the_start(
    factory: Any,  # noqa: ANN401 -- wrong on purpose
    complaint: str,
) -> None:
    shop = Service("shop", broker="memory://factories")
    shop.provide(Gateway, factory)

    with pytest.raises(ConfigurationError, match=complaint):
        async with started(shop):
            pass


async def test_a_filter_spares_the_handler_and_settles_the_event() -> None:
    shop = Service("shop")

    @shop.on(Placed, when=lambda order: order.order != "b")
    async def charge(_: Placed) -> None: ...

    async with Harness(shop) as world:
        for order in "abc":
            await world.publish(Placed(order=order))
        await world.settle()

    assert [order.order for order in world.handled(charge)] == ["a", "c"]


async def test_a_filter_that_fails_is_a_failure_of_its_handler() -> None:
    shop = Service("shop", retry=Retry(attempts=1))

    def broken(_: Placed) -> bool:
        raise KeyError("no such")

    @shop.on(Placed, when=broken)
    async def charge(_: Placed) -> None: ...

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    assert len(world.dead_letters) == 1


async def test_plain_functions_run_in_threads_and_emit_as_others_do() -> None:
    shop = Service("shop")
    threads: list[bool] = []

    @shop.on(Placed)
    def charge(order: Placed, ctx: Context) -> list[Paid]:
        threads.append(threading.current_thread() is threading.main_thread())
        return [Paid(order=order.order, note=ctx.correlation_id), Paid(order=order.order)]

    async with Harness(shop) as world:
        identity = await world.publish(Placed(order="a"))
        await world.settle()

    assert threads == [False]
    assert world.published(Paid) == [Paid(order="a", note=identity), Paid(order="a")]


async def test_what_a_handler_yields_is_emitted_in_order_once_it_has_ended() -> None:
    shop = Service("shop", retry=Retry(attempts=1))

    @shop.on(Placed)
    async def charge(order: Placed) -> AsyncIterator[Paid]:
        yield Paid(order=order.order, note="1")
        await asyncio.sleep(0)
        yield Paid(order=order.order, note="2")
        if order.order == "bad":
            raise OSError("too late")

    async with Harness(shop) as world:
        await world.publish(Placed(order="bad"))
        await world.publish(Placed(order="good"))
        await world.settle()

    assert world.published(Paid) == [Paid(order="good", note="1"), Paid(order="good", note="2")]


async def test_middleware_wraps_every_attempt_the_first_outermost() -> None:
    log: list[str] = []

    def named(name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        async def middleware(ctx: Context, call: Call) -> None:
            log.append(f"{name} before {ctx.attempt}")
            await call(ctx)
            log.append(f"{name} after {ctx.attempt}")

        return middleware

    shop = Service("shop", middleware=[named("outer"), named("inner")])

    @shop.on(Placed)
    async def charge(order: Placed) -> Paid:
        log.append("handler")
        return Paid(order=order.order)

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    assert log == [
        "outer before 1", "inner before 1", "handler", "inner after 1", "outer after 1",
    ]  # fmt: skip
    assert world.published(Paid) == [Paid(order="a")]


async def test_the_lifespan_surrounds_the_handling_and_may_publish() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(service: Service) -> AsyncGenerator[None]:
        await service.publish(Placed(order="from the lifespan"))
        yield
        log.append("end")

    shop = Service("shop", lifespan=lifespan)

    @shop.on(Placed)
    async def charge(order: Placed) -> None:
        log.append(order.order)

    async with Harness(shop) as world:
        await world.settle()

    assert log == ["from the lifespan", "end"]


async def test_routers_split_a_service_over_modules() -> None:
    router = Router()

    @router.on(Placed)
    async def charge(order: Placed) -> Paid:
        return Paid(order=order.order)

    shop = Service("shop")
    shop.include(router)

    async with Harness(shop) as world:
        await world.publish(Placed(order="a"))
        await world.settle()

    assert world.handled(charge) == [Placed(order="a")]


async def test_publishing_needs_a_running_service() -> None:
    with pytest.raises(ConfigurationError, match="shop is not running"):
        await Service("shop").publish(Placed(order="a"))


async def test_two_classes_of_one_wire_type_are_refused_at_start() -> None:
    class Twin(Event, topic="orders", name="Placed"):
        other: int

    shop = Service("shop", broker="memory://twins")

    @shop.on(Placed)
    async def one(_: Placed) -> None: ...

    @shop.on(Twin)
    async def two(_: Twin) -> None: ...

    with pytest.raises(ConfigurationError, match=r"are both 'Placed\.v1' on the wire"):
        async with started(shop):
            pass


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"concurency": 3}, "concurency"),
        ({"codec": "xml"}, "codec"),
    ],
)
def test_wrong_options_fail_where_they_are_given(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Service("shop", **options)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "x" * 101])
def test_a_service_name_must_do_as_a_group(name: str) -> None:
    with pytest.raises(ConfigurationError, match="service name"):
        Service(name)

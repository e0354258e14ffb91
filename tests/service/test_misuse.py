"""What a newcomer gets wrong: told where it is written, or made to work."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from choreo import ConfigurationError, Context, Event, Service
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


async def bare_lifespan(_: Service) -> AsyncGenerator[None]:
    yield


def bare_factory() -> Generator[Gateway]:
    yield Gateway("bare")


def test_a_factory_that_only_yields_is_refused_where_it_is_provided() -> None:
    with pytest.raises(ConfigurationError, match=r"provide\(Gateway, …\): .* with @contextmanager"):
        Service("shop").provide(Gateway, bare_factory)  # type: ignore[arg-type]


def test_a_handler_that_yields_what_it_does_not_declare_is_refused_where_it_is_registered() -> None:
    """Each event would fail for it, the first at the first yield."""
    shop = Service("shop")

    async def stream(order: Placed) -> AsyncGenerator[Paid]:
        yield Paid(order=order.order)

    def plain(order: Placed) -> Generator[Paid]:
        yield Paid(order=order.order)

    for handler in (stream, plain):
        del handler.__annotations__["return"]
        with pytest.raises(ConfigurationError, match="yields and does not say what: annotate"):
            shop.on(Placed)(handler)
        shop.on(Placed, publishes=[Paid])(handler)


async def test_one_event_where_several_are_published_is_refused_with_the_way_to_say_it() -> None:
    async with started(Service("shop", broker="memory://", create_topics=True)) as running:
        one: Any = Placed(order="a")

        with pytest.raises(
            ConfigurationError, match=r"a list of events, not one Placed: \[event\]"
        ):
            await running.publish(one)
        several: Any = (Placed(order=order) for order in "ab")
        assert len(await running.publish(several)) == 2


async def test_what_is_published_through_the_context_is_emitted_awaited_or_not() -> None:
    shop = Service("shop")

    @shop.on(Placed, publishes=[Paid])
    def plain(order: Placed, ctx: Context) -> None:
        _ = ctx.publish(Paid(order=order.order, note="plain"))

    @shop.on(Placed, publishes=[Paid])
    async def forgetful(order: Placed, ctx: Context) -> None:
        ctx.publish(Paid(order=order.order, note="forgetful"))  # type: ignore[unused-awaitable]

    @shop.on(Placed, publishes=[Paid])
    async def waiting(order: Placed, ctx: Context) -> None:
        identity = await ctx.publish(Paid(order=order.order, note="waiting"))
        assert identity == ctx.emitted[0][0]

    async with Harness(shop) as world:
        await world.publish(Placed(order="1"))
        await world.settle()

        notes = {paid.note for paid in world.published(Paid)}
        assert notes == {"plain", "forgetful", "waiting"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"name": "shop", "lifespan": bare_lifespan}, "with @asynccontextmanager"),
        ({"name": 3}, "the name is a string"),
        ({"name": "a/b"}, "use letters"),
        ({"name": "shop", "retry": 3}, r"retry=3\): give a Retry"),
        ({"name": "shop", "middleware": print}, "give a list"),
    ],
)
def test_a_service_that_could_not_work_is_refused_where_it_is_made(
    arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Service(**arguments)

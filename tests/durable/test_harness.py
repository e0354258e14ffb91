"""A world on a memory store moves through time like any other."""

from datetime import timedelta

from choreo import Context, Event, Retry, Service
from choreo.store.memory import MemoryTransaction
from choreo.testing import Harness, ManualClock

HOUR = timedelta(hours=1)


class Placed(Event, topic="orders", key="order"):
    order: str


class Taken(Event, topic="payments", key="order"):
    order: str


async def test_hours_pass_in_no_time_and_settle_waits_for_the_outbox() -> None:
    shop: Service[MemoryTransaction] = Service(
        "shop", store="memory://", retry=Retry(attempts=4, initial=HOUR, maximum=HOUR)
    )
    attempts: list[int] = []
    taken: list[str] = []

    @shop.on(Placed)
    async def charge(placed: Placed, ctx: Context[MemoryTransaction]) -> Taken:
        attempts.append(ctx.attempt)
        ctx.transaction[placed.order] = ctx.attempt
        if ctx.attempt < 3:
            raise ConnectionError
        return Taken(order=placed.order)

    @shop.on(Taken)
    async def note(event: Taken) -> None:
        taken.append(event.order)

    async with Harness(shop, clock=ManualClock()) as world:
        for order in "ab":
            await world.publish(Placed(order=order))
            await world.settle()
            assert world.published(Taken)[-1] == Taken(order=order)

    assert attempts == [1, 2, 3, 1, 2, 3]
    assert taken == ["a", "b"]

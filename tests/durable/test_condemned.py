"""What is condemned as a killer of processes is buried only as far as it has no effect (D7)."""

import asyncio
from datetime import timedelta

from choreo import Context, Gaps, Message, Park, Service
from choreo.delivery.job import Outcome
from choreo.delivery.quarantine import fingerprint
from choreo.reason import Reason
from choreo.store.flights import Incarnation
from choreo.store.opening import open_store
from choreo.testing import Harness
from tests.durable.conftest import Effects
from tests.durable.shop import HASTY, SOON, Counted, Placed, Shop
from tests.patience import patient


async def condemn(url: str, service: str, message: Message, crashes: int = 4) -> None:
    """Let so many processes have died with *message* in flight."""
    async with open_store(url) as store:
        flights = (await store.ledger(service, ())).order.flights
        for crash in range(crashes):
            dead = Incarnation(id=f"dead-{crash}", host="elsewhere", pid=7, started="then")
            await flights.keep(dead, timedelta(seconds=30))
            await flights.depart(dead, 1, [fingerprint(message)], ())
            await flights.blame([dead])


async def placed(shop: Shop, order: str) -> Message:
    """Publish an event that nobody handles yet, and tell what the broker holds."""
    async with Harness(shop.service) as world:
        await world.publish(Placed(order=order))
        await world.settle()
        return next(message for message in world.messages if message.topic == "orders")


async def test_an_effect_that_is_there_is_no_dead_letter_whatever_died_since(
    url: str, effects: Effects
) -> None:
    """The last process died after the commit, before it was known that the event spared it."""
    first, second = Shop(url), Shop(url)
    order = await placed(first, "a")
    await condemn(url, first.service.name, order)

    async with Harness(second.service) as world:
        await world.send(order)
        await world.settle()

        assert world.outcomes(second.charge) == {Outcome.DUPLICATE: 1}
        assert world.dead_letters == []
    assert await effects.seen() == ["charge a"]


async def test_what_killed_processes_and_has_no_effect_is_buried_unread_with_its_handler(
    url: str, effects: Effects
) -> None:
    source, shop = Service("source"), Shop(url)
    async with Harness(source) as world:
        await world.publish(Placed(order="a"))
        (order,) = world.messages
    await condemn(url, shop.service.name, order)

    async with Harness(shop.service) as world:
        await world.send(order)
        await world.settle()

        letters = [(letter.handler, letter.reason) for letter in world.dead_letters]
        assert letters == [("charge", Reason.CRASHED)]
        assert shop.attempts == []
        await world.send(order)
        await world.settle()
        assert len(world.dead_letters) == 1
    assert await effects.seen() == []


async def test_a_numbered_event_that_is_buried_unread_does_not_hold_its_stream(
    url: str, effects: Effects
) -> None:
    counter, seen = Service("counter", store=url), list[bytes | None]()

    @counter.on(Counted, gaps=Gaps(policy="wait"))
    async def count(_: Counted, ctx: Context) -> None:
        seen.append(ctx.delivery.body)

    async with Harness(Shop(url).service) as world:
        for payment in "xyz":
            await world.publish(Placed(order="a", payment=payment))
        await world.settle()
        numbered = [message for message in world.messages if message.topic == "counts"]
    await condemn(url, counter.name, numbered[1])

    async with Harness(counter) as world:
        await world.send(*reversed(numbered))
        await world.settle()

        assert [letter.reason for letter in world.dead_letters] == [Reason.CRASHED]
        assert len(seen) == 2
    assert await effects.seen() == ["charge a"] * 3


async def test_what_is_read_behind_a_parked_event_and_not_begun_is_in_no_flight(url: str) -> None:
    """It would be suspect with the next process that dies, however often its head was tried."""
    shop = Service("shop", store=url, retry=HASTY)

    @shop.on(Placed, on_failure=Park(attempts=1, initial=SOON, maximum=SOON, then="hold"))
    async def fail(placed: Placed) -> None:
        raise ConnectionError(placed.order)

    async with Harness(shop) as world:
        for payment in "xyz":
            await world.publish(Placed(order="a", payment=payment))
        await world.settle()
        worker = world.running(shop).worker
        assert worker is not None
        guard = worker._arrival._guard
        assert guard is not None
        async with asyncio.timeout(patient(8)):
            while [line.due for line in await worker._recovery._lot.lines(10)] != [None]:
                await asyncio.sleep(0.01)
            while guard._aboard:  # the task that has just put the line off has yet to go on
                await asyncio.sleep(0.01)

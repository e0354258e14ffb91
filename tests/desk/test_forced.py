"""A replay by force happens again whatever a store knows: its effects, its emits, its failures."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from choreo import Context, Event, Park, Retry, Service
from choreo.broker import open_broker
from choreo.desk.ruling import Wish
from choreo.desk.selection import EVERY, Selection
from choreo.reason import Reason
from choreo.runner import started
from choreo_sql import SqlTransaction
from tests.desk.shop import Order, Shop, Till
from tests.patience import patient
from tests.store.conftest import postgres_url, url

__all__ = ["postgres_url", "url"]

ALL, FORCED = Selection(states=EVERY), Wish(force=True)
PARK = Park(attempts=2, initial=timedelta(seconds=0.3), then="skip")


class Charged(Event, topic="charged", key="order_id"):
    order_id: str


@asynccontextmanager
async def charging(store: str, **on: Any) -> AsyncGenerator[Shop]:  # noqa: ANN401 -- options of a handler
    """Run a shop that charges in its event's transaction, tells so, and notes what it is told."""
    name, till = f"forced-{uuid4().hex[:8]}", Till()

    class Placed(Order, topic="orders", key="order_id", idempotency_key="purpose"):
        purpose: str | None = None

    shop = Service[SqlTransaction](
        name, broker=f"memory://{name}", store=store, create_topics=True, retry=Retry(attempts=1)
    )

    @shop.on(Placed, id="charge", **on)
    async def charge(order: Placed, ctx: Context[SqlTransaction]) -> Charged:
        await ctx.transaction.execute("SELECT 1", {})
        till.seen.append((order.order_id, order.number))
        if till.broken:
            raise OSError("the till is broken")
        till.charged.append((order.order_id, order.number))
        return Charged(order_id=order.order_id)

    @shop.on(Charged, id="note")
    async def note(charged: Charged, ctx: Context) -> None:
        till.noted.append((charged.order_id, ctx.attempt))

    async with open_broker(f"memory://{name}") as broker, started(shop) as running:
        yield Shop(name, broker.url, Placed, till, broker, running)


async def letter(shop: Shop) -> None:
    """Wait until there is one."""
    async with asyncio.timeout(patient(10)):
        while not await shop.cases():
            await asyncio.sleep(0.01)


async def charged_when_replayed(shop: Shop) -> None:
    await shop.place(("a", 1))
    await letter(shop)
    shop.till.broken = False
    await shop.replay(await shop.cases())
    await shop.until(lambda: shop.till.noted)


async def test_what_was_handled_in_its_transaction_is_handled_again_and_once(url: str) -> None:
    async with charging(url) as shop:
        await charged_when_replayed(shop)

        await shop.replay(await shop.cases(ALL), FORCED)
        await shop.until(lambda: len(shop.till.charged) == 2)
        await shop.replay(await shop.cases(ALL), Wish(again=True))
        await shop.idle()

        assert shop.till.charged == [("a", 1)] * 2


async def test_what_fails_when_it_is_forced_is_a_letter_that_is_replayed(url: str) -> None:
    async with charging(url) as shop:
        await charged_when_replayed(shop)
        shop.till.broken = True

        await shop.replay(await shop.cases(ALL), FORCED)
        await letter(shop)
        (case,) = await shop.cases()
        shop.till.broken = False
        await shop.replay([case])
        await shop.until(lambda: len(shop.till.charged) == 2)

        assert (case.told.reason, case.replays) == (Reason.HANDLER_ERROR, 2)


async def test_what_is_parked_when_it_is_forced_is_handled_from_there(url: str) -> None:
    async with charging(url, on_failure=PARK) as shop:
        await shop.place(("a", 1))
        await letter(shop)
        shop.till.broken = False
        await shop.replay(await shop.cases())
        await shop.until(lambda: shop.till.charged)
        shop.till.broken = True
        seen = len(shop.till.seen)

        await shop.replay(await shop.cases(ALL), FORCED)
        await shop.until(lambda: len(shop.till.seen) > seen)
        shop.till.broken = False

        await shop.until(lambda: len(shop.till.charged) == 2)


async def test_an_idempotency_key_that_is_used_up_is_no_hindrance_to_force(url: str) -> None:
    async with charging(url) as shop:
        placed: Any = shop.event
        await shop.running.publish([placed(order_id="a", number=1, purpose="p")])
        await letter(shop)
        shop.till.broken = False
        await shop.running.publish([placed(order_id="a", number=2, purpose="p")])
        await shop.until(lambda: shop.till.charged)
        await shop.replay(await shop.cases())
        await shop.idle()
        without = list(shop.till.charged)

        await shop.replay(await shop.cases(ALL), FORCED)
        await shop.until(lambda: len(shop.till.charged) == 2)

        assert without == [("a", 2)]
        assert shop.till.charged == [("a", 2), ("a", 1)]


async def test_a_replay_that_is_parked_is_handled_from_there(url: str) -> None:
    async with charging(url, on_failure=PARK) as shop:
        await shop.place(("a", 1))
        await letter(shop)
        seen = len(shop.till.seen)

        await shop.replay(await shop.cases())
        await shop.until(lambda: len(shop.till.seen) > seen)
        shop.till.broken = False

        await shop.until(lambda: shop.till.charged)

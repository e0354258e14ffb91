"""Replaying dead letters, within one process: whom it reaches, in which order, and how often."""

import asyncio

from choreo.desk.case import State
from choreo.desk.selection import EVERY, Selection
from tests.desk.shop import Shop, opened


async def settled(shop: Shop) -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    await shop.idle()


async def test_only_the_handler_that_failed_gets_a_replay() -> None:
    """I12: it is accepted although the other handler has finished the same id."""
    async with opened("only", "memory://only") as shop:
        await shop.place(("a", 1), ("b", 2))
        await settled(shop)
        shop.till.broken = False

        fates = await shop.replay(await shop.cases())
        await settled(shop)

        assert list(fates.values()) == [None, None]
        assert sorted(shop.till.charged) == [("a", 1), ("b", 2)]
        assert sorted(shop.till.noted) == [("a", 1), ("b", 2)]
        assert not await shop.cases()
        assert {case.state for case in await shop.cases(Selection(states=EVERY))} == {
            State.REPLAYED
        }

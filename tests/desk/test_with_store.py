"""What a store adds: a replay that was handled stays handled over a restart of the service."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from choreo.broker import Broker, open_broker
from choreo.desk.ruling import Wish
from choreo.desk.selection import EVERY, Selection
from choreo.runner import started
from tests.desk.shop import Order, Shop, Till, placed, service

ALL = Selection(states=EVERY)


@asynccontextmanager
async def running(
    name: str, event: type[Order], till: Till, broker: Broker, store: str
) -> AsyncGenerator[Shop]:
    """Run the shop with a store; its letters outlive it with *broker*'s connection."""
    made = service(name, broker.url, event, till, store=store)
    async with started(made) as shop:
        yield Shop(name, broker.url, event, till, broker, shop)


async def test_a_replay_is_handled_once_even_if_the_service_restarts_between(
    tmp_path: Path,
) -> None:
    name = f"kept-{uuid4().hex[:8]}"
    store = f"sqlite:///{tmp_path}/shop.db"
    event, till = placed(f"{name}-orders"), Till()
    async with open_broker(f"memory://{name}") as broker:
        async with running(name, event, till, broker, store) as shop:
            await shop.place(("a", 1))
            await shop.idle()
            till.broken = False
            fates = await shop.replay(await shop.cases())
            await shop.idle()
        async with running(name, event, till, broker, store) as shop:
            await shop.replay(await shop.cases(ALL), Wish(again=True))
            await shop.idle()
            once = list(till.charged)
            await shop.replay(await shop.cases(ALL), Wish(force=True))
            await shop.idle()

    assert list(fates.values()) == [None]
    assert once == [("a", 1)]
    assert till.charged == [("a", 1)] * 2


async def test_a_replay_that_fails_is_tried_once_for_each_number_over_restarts(
    tmp_path: Path,
) -> None:
    name = f"kept-{uuid4().hex[:8]}"
    store = f"sqlite:///{tmp_path}/shop.db"
    event, till = placed(f"{name}-orders"), Till()
    async with open_broker(f"memory://{name}") as broker:
        async with running(name, event, till, broker, store) as shop:
            await shop.place(("a", 1))
            await shop.idle()
            (case,) = await shop.cases()
            await shop.replay([case])
            await shop.idle()
        async with running(name, event, till, broker, store) as shop:
            await shop.desk.replay([case], Wish(again=True), lambda _case, _why: None)
            (again,) = await shop.cases()
            await shop.replay([again])
            await shop.idle()
            (last,) = await shop.cases()

    assert (again.replays, last.replays) == (1, 2)
    assert len(till.seen) == 3

"""Replays of a key stop at the first that fails again: the later ones go back unhandled."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import pytest

from choreo.broker import open_broker
from choreo.message import Message
from choreo.reason import Reason
from choreo.replay import MAX_TEXT, Action, Behind, Decision, decided, read_decision
from choreo.testing import ManualClock
from choreo_memory import MemoryBroker
from tests.desk.shop import Shop, Till, opened, placed
from tests.desk.test_with_store import running

ORDERS = (("a", 1), ("a", 2), ("a", 3), ("b", 1))


@pytest.fixture(name="shop")
async def _shop() -> AsyncGenerator[Shop]:
    """Return a shop in memory, all of whose orders have failed, and one of which is still bad."""
    name = f"shop-{uuid4().hex[:8]}"
    async with opened(name, f"memory://{name}") as shop:
        await failed(shop)
        yield shop


async def failed(shop: Shop) -> None:
    await shop.place(*ORDERS)
    await shop.idle()
    shop.till.broken = False
    shop.till.barred.add(("a", 1))
    shop.till.seen.clear()


async def test_what_is_replayed_behind_one_that_fails_again_goes_back_unhandled(
    shop: Shop,
) -> None:
    await shop.replay(await shop.cases())
    await shop.idle()

    assert sorted(shop.till.seen) == [("a", 1), ("b", 1)]
    assert shop.till.charged == [("b", 1)]
    cases = sorted(await shop.cases(), key=lambda case: case.told.position or 0)
    assert [case.told.reason for case in cases] == [
        Reason.REJECTED,
        Reason.BEHIND_FAILED,
        Reason.BEHIND_FAILED,
    ]
    assert [case.replays for case in cases] == [1, 1, 1]
    assert cases[0].event_id is not None
    assert cases[0].event_id in (cases[1].told.error or "")


async def test_once_it_is_mended_all_of_the_key_are_replayed_in_order(shop: Shop) -> None:
    await shop.replay(await shop.cases())
    await shop.idle()
    shop.till.barred.clear()

    await shop.replay(await shop.cases())
    await shop.idle()

    assert [number for key, number in shop.till.charged if key == "a"] == [1, 2, 3]
    assert not await shop.cases()


async def test_one_that_is_replayed_alone_is_handled_whatever_became_of_those_before_it(
    shop: Shop,
) -> None:
    await shop.replay(await shop.cases())
    await shop.idle()
    cases = sorted(await shop.cases(), key=lambda case: case.told.position or 0)

    await shop.replay([cases[1]])
    await shop.idle()

    assert shop.till.charged == [("b", 1), ("a", 2)]


@pytest.mark.parametrize("again", [False, True], ids=["the rest", "all once more"])
async def test_a_desk_that_is_run_again_says_what_the_one_before_it_had_sent(
    again: bool, shop: Shop
) -> None:
    """The first is at work when the second desk, or one that looked before, goes on."""
    cases = sorted(await shop.cases(), key=lambda case: (case.key, case.told.position or 0))
    shop.till.shut = asyncio.Event()
    await shop.replay(cases[:1])
    await shop.until(lambda: shop.till.seen)

    await shop.replay(cases if again else cases[1:])
    shop.till.shut.set()
    await shop.idle()

    assert shop.till.charged == [("b", 1)]
    assert len(await shop.cases()) == 3


async def test_one_that_was_replayed_behind_it_does_not_hold_it(shop: Shop) -> None:
    """Somebody chose the second first, and it has not come back."""
    first, second = sorted(
        (case for case in await shop.cases() if case.key == "a"),
        key=lambda case: case.told.position or 0,
    )[:2]
    shop.till.barred = {("a", 2)}
    shop.till.shut = asyncio.Event()
    await shop.replay([second])
    await shop.until(lambda: shop.till.seen)

    await shop.replay([first])
    shop.till.shut.set()
    await shop.idle()

    assert shop.till.charged == [("a", 1)]


async def test_it_is_kept_over_the_death_of_the_service_between_the_two(tmp_path: Path) -> None:
    """The first is in the dead letters again; of that the next life knows by the store alone."""
    name = f"kept-{uuid4().hex[:8]}"
    store = f"sqlite:///{tmp_path}/shop.db"
    event, till = placed(f"{name}-orders"), Till()
    async with open_broker(f"memory://{name}") as broker:
        async with running(name, event, till, broker, store) as shop:
            await failed(shop)
            first, second, third, _ = sorted(
                await shop.cases(), key=lambda case: (case.key, case.told.position or 0)
            )
            letters = await shop.desk.letters([second, third])
            await shop.replay([first])
            await shop.idle()
        async with running(name, event, till, broker, store) as shop:
            for case, before in ((second, first), (third, second)):
                assert before.source is not None
                assert before.event_id is not None
                decision = Decision(
                    letter=case.id,
                    action=Action.REPLAY,
                    edition=0,
                    generation=1,
                    batch="one",
                    at=ManualClock().now(),
                    behind=Behind(before.source, before.event_id, 1),
                )
                message = decided(
                    letters[case.id], decision, shop.desk.place.prefix, broker.capabilities
                )
                await broker.publish([message])
                await shop.idle()
            found = {case.id: case.told.reason for case in await shop.cases()}

    assert till.seen == [("a", 1)]
    assert found[second.id] == found[third.id] == Reason.BEHIND_FAILED


def test_what_a_replay_follows_is_named_to_the_letter_however_long_its_name_is() -> None:
    decision = Decision(
        letter="x",
        action=Action.REPLAY,
        edition=0,
        generation=2,
        batch="one",
        at=ManualClock().now(),
        behind=Behind("urn:\u00fc" + MAX_TEXT * "s", MAX_TEXT * "\u00ef", 7),
    )
    capabilities = MemoryBroker(f"memory://{uuid4().hex}").capabilities

    written = decided(Message("dlq", b"{}"), decision, "choreo.replay.x", capabilities)

    assert read_decision(written) == decision

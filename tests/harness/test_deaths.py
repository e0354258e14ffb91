"""A process that dies at every stage of an event's life, and what its next life makes of that."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from choreo import Context, Event, Reject, Service
from choreo.errors import ConfigurationError
from choreo.testing import Harness, ManualClock, Trouble, observe
from choreo.testing.effects import differences
from choreo.testing.fate import COMMITS, STAGES, Stage
from choreo_sql import SqlTransaction


class Placed(Event, topic="orders", key="number"):
    number: int


class Paid(Event, topic="payments", key="number"):
    number: int


def charging(store: str | None) -> Service:
    """Make a service that tells the outside when it begins and ends, and what it cleans up."""
    payments = Service("payments", store=store)

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        observe("begun", order.number)
        try:
            for _ in range(8):  # at one of these it dies within
                await asyncio.sleep(0)
            observe("charged", order.number)
        finally:
            observe("cleaned", order.number)
        return Paid(number=order.number)

    return payments


def writing(store: str) -> Service[SqlTransaction]:
    """Make a service whose handler writes within the transaction of its event's end."""
    payments: Service[SqlTransaction] = Service("payments", store=store)

    @payments.on(Placed)
    async def charge(order: Placed, ctx: Context[SqlTransaction]) -> Paid:
        observe("begun", order.number)
        await ctx.transaction.execute("CREATE TABLE IF NOT EXISTS charges (number INTEGER)")
        await ctx.transaction.execute("INSERT INTO charges VALUES (1)")
        observe("charged", order.number)
        return Paid(number=order.number)

    @payments.on(Paid)
    async def count(paid: Paid, ctx: Context[SqlTransaction]) -> None:
        rows = await ctx.transaction.execute("SELECT count(*) FROM charges")
        observe("rows", rows[0])

    return payments


async def lived(service: Service, stage: str, *, events: int = 1, crash: int = 1) -> Harness:
    """Have *service* die at *stage*, and give the world when it has come to rest."""
    trouble = Trouble(crash=crash, stages=[stage])
    async with Harness(service, trouble=trouble, clock=ManualClock()) as world:
        for number in range(events):
            await world.publish(Placed(number=number))
        await world.settle()
    return world


FORGETFUL = {
    "before": (1, 1, 1),
    "within": (2, 1, 1),
    "handled": (2, 2, 1),
    "unsent": (2, 2, 1),
    "sent": (2, 2, 2),
    "unsettled": (2, 2, 2),
}
"""How often a handler without a store begins, ends, and is heard of, by where its process died."""
KEEPING = {
    "before": (1, 1, 1),
    "within": (2, 1, 1),
    "handled": (2, 2, 1),
    "uncommitted": (2, 2, 1),
    "committed": (1, 1, 1),
    "unsent": (1, 1, 1),
    "sent": (1, 1, 2),
    "unsettled": (1, 1, 1),
}
"""The same with one, which says what is done and what is to be published."""


def told(world: Harness) -> tuple[int, int, int]:
    begun, charged = len(world.observed("begun")), len(world.observed("charged"))
    return begun, charged, len(world.published(Paid))


@pytest.mark.parametrize("stage", FORGETFUL)
async def test_without_a_store_what_was_not_settled_is_done_again(stage: str) -> None:
    world = await lived(charging(None), stage)

    assert [(death.name.lower()) for _, death, _ in world.bites.deaths] == [stage]
    assert told(world) == FORGETFUL[stage]
    assert world.failures == []


@pytest.mark.parametrize("stage", KEEPING)
async def test_with_a_store_what_was_committed_is_not_done_again(stage: str) -> None:
    world = await lived(charging("memory://"), stage)

    assert [(death.name.lower()) for _, death, _ in world.bites.deaths] == [stage]
    assert told(world) == KEEPING[stage]
    assert world.failures == []


@pytest.mark.parametrize("stage", KEEPING)
async def test_what_is_written_in_an_events_transaction_is_there_once_wherever_it_died(
    stage: str, tmp_path: Path
) -> None:
    world = await lived(writing(f"sqlite:///{tmp_path}/books.db"), stage)

    assert stage in [death.name.lower() for _, death, _ in world.bites.deaths]
    assert set(world.observed("rows")) == {"(1,)"}
    assert (told(world)[0], told(world)[2]) == (KEEPING[stage][0], KEEPING[stage][2])


def test_every_stage_is_tried() -> None:
    commits = {stage.name.lower() for stage in COMMITS}

    assert set(KEEPING) == set(STAGES)
    assert set(FORGETFUL) == set(STAGES) - commits


async def test_a_process_that_dies_within_its_handler_runs_no_finally() -> None:
    world = await lived(charging(None), "within")

    assert world.observed("cleaned") == ["0"]


async def test_it_dies_as_often_as_it_is_to_and_nothing_is_lost() -> None:
    world = await lived(charging("memory://"), "handled", events=20, crash=3)

    assert world.bites.crashes == 3
    assert {paid.number for paid in world.published(Paid)} == set(range(20))


async def test_a_handler_that_never_gets_to_its_stage_dies_before_it_is_settled() -> None:
    payments = Service("payments")

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        raise Reject("no")

    world = await lived(payments, "sent")

    assert [stage for _, stage, _ in world.bites.deaths] == [Stage.UNSETTLED]


async def test_as_many_seeds_as_there_are_stages_die_at_each_of_them() -> None:
    died: Counter[Stage] = Counter()

    for seed in range(1, len(Stage) + 1):
        trouble = Trouble(crash=1, seed=seed)
        async with Harness(charging("memory://"), trouble=trouble, clock=ManualClock()) as world:
            await world.publish(Placed(number=1))
            await world.settle()
        died.update(stage for _, stage, _ in world.bites.deaths)

    assert died == Counter(Stage)


async def test_where_a_process_died_is_told() -> None:
    world = await lived(charging("memory://"), "committed")

    assert str(world.bites) == ("1 crashes: payments at the commit of charge, which counted")


def test_a_stage_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'between' is none, give some of handled"):
        Trouble(crash=1, stages=["between"])


class Refunded(Event, topic="refunds", key="number"):
    number: int


def shop() -> Service:
    """Make a service whose events end in every way that outlives a process."""
    service = Service("shop", store="memory://")

    @service.on(Placed, publishes=[Paid])
    async def charge(order: Placed, ctx: Context) -> None:
        if order.number == 2:
            raise Reject("a stolen card")
        await ctx.publish(Paid(number=order.number), delay=timedelta(hours=1))

    @service.on(Paid, when=lambda paid: paid.number != 1)
    async def refund(paid: Paid) -> Refunded:
        return Refunded(number=paid.number)

    return service


async def ended(trouble: Trouble) -> Harness:
    async with Harness(shop(), trouble=trouble, clock=ManualClock()) as world:
        for number in range(5):
            await world.publish(Placed(number=number))
        await world.settle()
        await world.advance(timedelta(hours=2))
        await world.settle()
    return world


@pytest.mark.parametrize("stage", STAGES)
async def test_a_world_leads_to_the_same_wherever_processes_died(stage: str) -> None:
    peace = await ended(Trouble())

    world = await ended(Trouble(crash=2, duplicates=0.5, stages=[stage]))

    assert world.bites.crashes
    assert differences(peace.effects, world.effects) == []
    assert len(peace.published(Refunded)) == 3

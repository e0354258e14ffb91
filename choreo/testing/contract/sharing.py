"""Groups: every group gets everything, members of one share it and take over from each other."""

# ruff: noqa: PLR2004 -- numbers in a test are its data

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from choreo.message import Delivery
from choreo.testing.contract.bench import (
    END,
    Bench,
    Member,
    bench,
    in_key_order,
    need,
    numbers,
    pumping,
    same,
    soon,
)
from choreo.testing.contract.setup import BrokerSetup


class Sharing:
    """Who gets what, and when it passes on."""

    async def test_every_group_gets_everything(self, setup: BrokerSetup) -> None:
        async with (
            bench(setup) as b,
            b.join(group=setup.name()) as one,
            b.join(group=setup.name()) as two,
        ):
            await b.publish(range(40))

            for member in (one, two):
                same(sorted(numbers(await member.receive(40))), list(range(40)), "numbers")

    async def test_members_of_a_group_share_its_streams_and_nothing_comes_twice(
        self, setup: BrokerSetup
    ) -> None:
        async with bench(setup) as b:
            need(b.broker.capabilities.groups, "the adapter has no groups")
            sent = 0
            async with b.join() as one, b.join() as two, pumping(one, two) as (first, second):

                def both_served() -> bool:
                    return any(map(_numbered, first)) and any(map(_numbered, second))

                async with asyncio.timeout(setup.patience):
                    while not both_served():
                        await b.publish(range(sent, sent + 40))
                        sent += 40
                        await asyncio.sleep(0.02)
                wanted = sent
                await soon(
                    setup.patience, lambda: _count(first, second) >= wanted, "all numbers to come"
                )

        same(sorted(numbers(first + second)), list(range(sent)), "numbers")
        in_key_order(first, keys=True)
        in_key_order(second, keys=True)

    async def test_a_member_that_leaves_is_taken_over_from(self, setup: BrokerSetup) -> None:
        await _takeover(setup, crash=False)

    async def test_a_member_that_dies_is_taken_over_from(self, setup: BrokerSetup) -> None:
        need(setup.crash, "clients cannot be killed")
        await _takeover(setup, crash=True)

    async def test_a_stream_passes_on_only_when_its_owner_has_finished(
        self, setup: BrokerSetup
    ) -> None:
        """Traps K5, K6, K7: what is settled while streams are revoked is not handed over again."""
        asked, finished = asyncio.Event(), asyncio.Event()

        async def finish() -> None:
            asked.set()
            await finished.wait()

        async with bench(setup) as b:
            need(b.broker.capabilities.groups, "the adapter has no groups")
            patient = setup.patience + 10

            async with b.join(
                on_revoking=finish, wish=lambda s: replace(s, drain=timedelta(seconds=patient))
            ) as first:
                await b.publish(range(40))
                got = await first.receive(40)
                async with _joining(b) as arrived:
                    await soon(setup.patience, asked.is_set, "the owner to be asked")
                    await asyncio.sleep(setup.quiet)
                    same(numbers(arrived), [], "handed over while its owner was at work")
                    first.consumer.settle(got)
                    finished.set()
                    await _until_marked(b, first, arrived)

        same(_numbers_in(arrived), [], "settled, and yet came again")

    async def test_an_owner_that_does_not_finish_in_time_is_fenced(
        self, setup: BrokerSetup
    ) -> None:
        """Traps K7, K10."""
        for_ever = asyncio.Event()
        async with bench(setup) as b:
            need(b.broker.capabilities.groups, "the adapter has no groups")

            async with b.join(
                on_revoking=for_ever.wait, wish=lambda s: replace(s, drain=timedelta(seconds=0.2))
            ) as first:
                await b.publish(range(40))
                got = await first.receive(40)
                async with _joining(b) as arrived:
                    await soon(setup.patience, lambda: _count(arrived), "streams to pass on")
                    first.consumer.settle(got)
                    await first.consumer.flush()
                    async with pumping(first, settle=False) as (again,):
                        await soon(
                            setup.patience,
                            lambda: len(set(numbers(again + arrived))) == 40,
                            "all to be handed over again, settled too late as they were",
                        )


def _numbered(delivery: Delivery) -> bool:
    return not (delivery.body or b"").startswith(END)


def _numbers_in(deliveries: list[Delivery]) -> list[int]:
    return numbers(filter(_numbered, deliveries))


def _count(*taken: list[Delivery]) -> int:
    return sum(len(_numbers_in(deliveries)) for deliveries in taken)


async def _takeover(setup: BrokerSetup, *, crash: bool) -> None:
    async with bench(setup) as b:
        need(b.broker.capabilities.groups, "the adapter has no groups")
        async with b.join() as stays, AsyncExitStack() as stack:
            goes = await stack.enter_async_context(b.join())
            await b.publish(range(80))
            async with pumping(stays, settle=False) as (kept,):
                async with pumping(goes, settle=False) as (held,):
                    await soon(
                        setup.patience,
                        lambda: held and len(set(numbers(kept + held))) == 80,
                        "both to be served",
                    )
                    orphaned = set(numbers(held))
                    before = len(kept)
                    if crash:
                        await b.crash(goes)
                await stack.aclose()
                await soon(
                    setup.patience,
                    lambda: orphaned <= set(numbers(kept[before:])),
                    "everything its neighbour held to come to the one that stays",
                )


@asynccontextmanager
async def _joining(b: Bench) -> AsyncGenerator[list[Delivery]]:
    """Join from a task of its own: entry may last as long as another member's drain."""
    arrived: list[Delivery] = []
    leave = asyncio.Event()

    async def join() -> None:
        async with b.join() as member, asyncio.TaskGroup() as tasks:
            tasks.create_task(member.pump(arrived, settle=False), name="pump")
            await leave.wait()
            member.consumer.stop_intake()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(join(), name="second member")
        yield arrived
        leave.set()


async def _until_marked(b: Bench, first: Member, arrived: list[Delivery]) -> None:
    """Return when all streams have come to their ends, read by *first* or into *arrived*."""
    marks = await b.mark()
    async with pumping(first, settle=False) as (more,):
        await soon(
            b.setup.patience, lambda: marks <= {d.body for d in more + arrived}, "marks to come"
        )
        arrived.extend(more)

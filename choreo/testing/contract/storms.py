"""Members come, go and die while much is published: nothing is lost, order is kept."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count

from choreo.message import Delivery
from choreo.testing.contract.bench import Bench, bench, check, in_key_order, need, numbers, soon
from choreo.testing.contract.setup import BrokerSetup

GUESTS = 3
ROUND = 16


class Storms:
    """Rebalances under load."""

    async def test_members_that_come_and_go_under_load_lose_and_repeat_nothing(
        self, setup: BrokerSetup
    ) -> None:
        """Traps K5, K6, K22."""
        taken, sent = await _storm(setup, crash=False)

        came = numbers(taken)
        check(len(came) == len(set(came)), f"{len(came) - len(set(came))} came again")
        check(set(came) == set(range(sent)), f"lost: {sorted(set(range(sent)) - set(came))}")
        in_key_order(taken, keys=True)

    async def test_members_that_die_under_load_lose_nothing(self, setup: BrokerSetup) -> None:
        """Traps K1, K9: what comes again comes again in order."""
        need(setup.crash, "clients cannot be killed")
        taken, sent = await _storm(setup, crash=True)

        first = {delivery.body: delivery for delivery in reversed(taken)}
        fresh = [delivery for delivery in taken if first[delivery.body] is delivery]
        lost = set(range(sent)) - set(numbers(fresh))
        check(not lost, f"lost: {sorted(lost)}")
        in_key_order(fresh, keys=True)


async def _storm(setup: BrokerSetup, *, crash: bool) -> tuple[list[Delivery], int]:
    """Let guests join and go while one member stays; tell all deliveries in order of arrival."""
    taken: list[Delivery] = []
    async with bench(setup) as b:
        need(b.broker.capabilities.groups, "the adapter has no groups")
        async with b.join() as stays, asyncio.TaskGroup() as tasks:
            tasks.create_task(stays.pump(taken), name="the one that stays")
            async with _publishing(b) as sent:
                for _ in range(1 if crash else GUESTS):
                    await _visit(b, taken, crash=crash)
                    await _more(setup, taken)
            total = sum(sent)
            await soon(
                setup.patience,
                lambda: len({delivery.body for delivery in taken}) == total,
                f"all of {total} to come",
            )
            stays.consumer.stop_intake()
    return taken, total


async def _more(setup: BrokerSetup, taken: list[Delivery]) -> None:
    """Wait until something has come that is not in *taken* yet."""
    reached = len(taken)
    await soon(setup.patience, lambda: len(taken) > reached, "more to come after a visit")


async def _visit(b: Bench, taken: list[Delivery], *, crash: bool) -> None:
    """Join, take a share of what comes, and go."""
    mine: list[Delivery] = []
    async with b.join() as guest:
        while len(mine) < ROUND:
            async with asyncio.timeout(b.setup.patience):
                batch = await guest.consumer.poll(100)
            mine.extend(batch)
            taken.extend(batch)
            guest.consumer.settle(batch)
        if crash:
            await b.crash(guest)


@asynccontextmanager
async def _publishing(b: Bench) -> AsyncGenerator[list[int]]:
    """Publish round after round while inside; the list counts what was accepted."""
    sent: list[int] = []
    enough = asyncio.Event()

    async def publish() -> None:
        for start in count(0, ROUND):
            if enough.is_set():
                return
            await b.publish(range(start, start + ROUND))
            sent.append(ROUND)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publish(), name="publisher")
        try:
            yield sent
        finally:
            enough.set()

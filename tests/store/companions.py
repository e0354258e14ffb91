"""Handlers that come at once, while another keeps them waiting."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from choreo.store.outbox import Emission
from choreo.store.port import State, Verdict
from choreo.testing.contract import fresh_name
from choreo_sql import SqlTransaction
from choreo_sql.ledger import SqlLedger
from tests.store.handling import Handler, claim, handle, pay


async def nothing(_transaction: SqlTransaction) -> None:
    """Write nothing."""


def paying(identity: str) -> Handler:
    """Make a handler that writes a row."""
    return lambda transaction: pay(transaction, identity)


@asynccontextmanager
async def held(ledger: SqlLedger) -> AsyncGenerator[asyncio.Event]:
    """Keep handlers waiting until the event is set: they share the next transaction."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def holder(_transaction: SqlTransaction) -> None:
        entered.set()
        await go_on.wait()

    task = asyncio.create_task(handle(ledger, fresh_name(), holder))
    await entered.wait()
    try:
        yield go_on
    finally:
        go_on.set()
        assert await task is Verdict.WRITTEN


async def together(
    ledger: SqlLedger, handlers: Sequence[tuple[str, Handler]], emitted: Sequence[Emission] = ()
) -> Sequence[Verdict | BaseException]:
    """Handle events in one transaction, in this order; what came of each."""
    async with held(ledger) as go_on:
        tasks = [asyncio.create_task(handle(ledger, name, one, emitted)) for name, one in handlers]
        await asyncio.sleep(0)  # each has joined
        go_on.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


async def known(ledger: SqlLedger, *names: str) -> set[str]:
    """Name the events that have ended."""
    found = await ledger.recall([claim(name).key for name in names])
    return {key[2] for key, one in found.items() if one.state is State.DONE}

"""The contract's tools: clients of one store, claims, and what became of them."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from choreo.store.port import Claim, End, Known, Lease, Ledger, State, Store, Verdict
from choreo.testing.contract.bench import check, fail
from choreo.testing.contract.stores.setup import StoreSetup

T = TypeVar("T")

HANDLERS = ("first", "second")
SOURCE = "urn:contract"
PAYLOAD = b"payload-one-0123"
OTHER_PAYLOAD = b"payload-two-0123"
START = datetime(2026, 1, 1, tzinfo=UTC)
LONG = timedelta(minutes=5)
"""A lease that does not run out while a test lasts."""


def claim(
    identity: str,
    *,
    handler: int = 0,
    purpose: str | None = None,
    generation: int = 0,
    payload: bytes = PAYLOAD,
) -> Claim:
    """Make a claim to an event of the contract's one source."""
    return Claim(
        key=(handler, SOURCE, identity),
        fingerprint=payload,
        at=START,
        purpose=purpose,
        generation=generation,
    )


def done(wanted: Claim, *, fence: int | None = None) -> End:
    """Make the end of a claim whose handler succeeded."""
    return End(claim=wanted, fence=fence)


def dead(wanted: Claim, *, fence: int | None = None) -> End:
    """Make the end of a claim that went to the dead letters."""
    return End(claim=wanted, state=State.DEAD, fence=fence)


@dataclass(eq=False)
class Shelf:
    """A service's books, opened by as many clients as a test wants."""

    setup: StoreSetup
    ledger: Ledger[Any]
    service: str
    stack: AsyncExitStack = field(repr=False)

    async def another(self, *, service: str | None = None) -> Ledger[Any]:
        """Open books, this service's unless another is named, with one more client."""
        store = await self.stack.enter_async_context(self.setup.open())
        return await store.ledger(service or self.service, HANDLERS)

    async def finish(self, *ends: End) -> Sequence[Verdict]:
        """Write *ends* in one call."""
        return await self.ledger.finish(ends)

    async def known(self, wanted: Claim) -> Known | None:
        """Look up one claim's key."""
        return (await self.ledger.recall([wanted.key])).get(wanted.key)

    async def state(self, wanted: Claim) -> str:
        """Tell the state of one claim's key."""
        known = await self.known(wanted)
        return "unknown" if known is None else known.state.value

    async def hold(self, wanted: Claim, span: timedelta = LONG, owner: str = "one") -> Lease:
        """Take a lease, which must be free."""
        lease = await self.ledger.lease(wanted, owner, span)
        if isinstance(lease, Verdict):
            fail(f"the lease was refused: {lease}")
        return lease

    async def lapse(self) -> None:
        """Let a lease of the setup's length run out."""
        await self.setup.pass_time(self.setup.lease * 1.5)

    async def waiting(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start *work*, which must not end by itself."""
        task = asyncio.create_task(work, name="waiting")
        self.stack.callback(task.cancel)
        await asyncio.wait([task], timeout=self.setup.quiet)
        check(not task.done(), f"it did not wait: {task}")
        return task

    async def ended(self, task: "asyncio.Task[T]") -> T:
        """Return what *task* returns, which must be soon."""
        async with asyncio.timeout(self.setup.patience):
            return await task


@asynccontextmanager
async def shelf(setup: StoreSetup) -> AsyncGenerator[Shelf]:
    """Open a store and the books of a new service."""
    async with AsyncExitStack() as stack:
        store: Store[Any] = await stack.enter_async_context(setup.open())
        service = setup.name()
        ledger = await store.ledger(service, HANDLERS)
        yield Shelf(setup, ledger, service, stack)

"""The store of a service that dies: at a commit, and nobody knows whether that has counted."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from choreo.errors import StoreError
from choreo.store.order import Order
from choreo.store.outbox import Outbox
from choreo.store.port import (
    Attempt,
    Claim,
    Effect,
    End,
    Key,
    Known,
    Lease,
    Ledger,
    State,
    Store,
    Verdict,
)
from choreo.testing.fate import Stage
from choreo.testing.mortal import Life


class MortalStore:
    """The store that *inner* is, for as long as a life lasts."""

    def __init__(self, inner: Store[Any], life: Life) -> None:
        self._inner = inner
        self._life = life
        self._ledgers: list[_MortalLedger] = []

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        return self._inner.url

    @property
    def durable(self) -> bool:
        """Say whether it outlives the process."""
        return self._inner.durable

    @property
    def transaction(self) -> type[object]:
        """The class of what handlers get as their transaction."""
        return self._inner.transaction

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Close all connections; what a dead process held runs out at once, as no test need wait.

        A real one's leases go to others when their time is over.
        """
        if self._life.dead:
            for ledger in self._ledgers:
                await ledger.let_go()
        await self._inner.__aexit__(kind, error, traceback)

    async def ledger(self, service: str, handlers: Sequence[str], /) -> Ledger[Any]:
        """Open the books of *service*."""
        ledger = _MortalLedger(await self._inner.ledger(service, handlers), handlers, self._life)
        self._ledgers.append(ledger)
        return ledger

    def unavailable(self, error: BaseException, /) -> bool:
        """Say whether *error* is the store's own absence, or the process's end."""
        return isinstance(error, StoreError) or self._inner.unavailable(error)


class _MortalLedger:
    def __init__(self, inner: Ledger[Any], handlers: Sequence[str], life: Life) -> None:
        self._inner = inner
        self._handlers = handlers
        self._life = life
        self._leases: list[Lease] = []

    @property
    def outbox(self) -> Outbox:
        """What was emitted and is to be published."""
        return self._inner.outbox

    @property
    def order(self) -> Order:
        """What keeps this service's events in order."""
        return self._inner.order

    async def recall(self, keys: Sequence[Key], /) -> Mapping[Key, Known]:
        """Tell what is known of *keys*."""
        return await self._inner.recall(keys)

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        """Write each of *ends*, unless the process dies of it."""
        handler = self._doomed(Stage.UNCOMMITTED, ends)
        if handler:
            self._life.die(Stage.UNCOMMITTED, handler)
        self._check()
        handler = self._doomed(Stage.COMMITTED, ends)
        verdicts = await self._inner.finish(ends)
        if handler:
            self._life.die(Stage.COMMITTED, handler)
        self._check()
        return verdicts

    def effect(self, claim: Claim, /) -> AbstractAsyncContextManager[Effect[Any]]:
        """Open a transaction, at whose commit the process may die."""
        return self._effect(claim)

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[Effect[Any]]:
        life, handler, doomed = self._life, self._handlers[claim.key[0]], False
        self._check()
        async with self._inner.effect(claim) as effect:
            yield effect
            if effect.verdict is Verdict.WRITTEN:
                if life.doomed(Stage.UNCOMMITTED, handler):
                    life.die(Stage.UNCOMMITTED, handler)
                doomed = life.doomed(Stage.COMMITTED, handler)
            self._check()
        if doomed:
            life.die(Stage.COMMITTED, handler)
        self._check()

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        """Remember failed attempts."""
        self._check()
        await self._inner.note(attempts)

    async def lease(self, claim: Claim, owner: str, duration: timedelta, /) -> Lease | Verdict:
        """Claim for *duration*."""
        self._check()
        lease = await self._inner.lease(claim, owner, duration)
        if isinstance(lease, Lease):
            self._leases.append(lease)
        return lease

    async def renew(self, leases: Sequence[Lease], duration: timedelta, /) -> Sequence[bool]:
        """Prolong *leases*."""
        return await self._inner.renew(leases, duration)

    async def release(self, lease: Lease, /) -> None:
        """Give a lease back."""
        await self._inner.release(lease)

    async def expire(self, before: datetime, limit: int, /) -> int:
        """Forget what ended *before*."""
        return await self._inner.expire(before, limit)

    async def let_go(self) -> None:
        """Give back what was leased; of what has ended, and of another's, nothing is changed."""
        with suppress(StoreError):
            for lease in self._leases:
                await self._inner.release(lease)

    def _doomed(self, stage: Stage, ends: Sequence[End]) -> str:
        """Name the handler with whose end it dies at *stage*, if it does."""
        names = (self._handlers[end.claim.key[0]] for end in ends if end.state is State.DONE)
        return next((name for name in names if self._life.doomed(stage, name)), "")

    def _check(self) -> None:
        if self._life.dead:
            raise StoreError("the process is dead: nobody hears what became of it")


_: type[Store[Any]] = MortalStore
__: type[Ledger[Any]] = _MortalLedger

"""MemoryLedger: the books of one service in a memory store."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice

from choreo.errors import StoreError
from choreo.store.memory.books import Books, Scope
from choreo.store.memory.order import order_in
from choreo.store.memory.outbox import outbox_in
from choreo.store.memory.transaction import MemoryTransaction
from choreo.store.port import (
    Attempt,
    Claim,
    Effect,
    End,
    Key,
    Known,
    Lease,
    State,
    Verdict,
)


class MemoryEffect:
    """One open transaction in which a handler runs."""

    def __init__(self, books: Books, scope: Scope, verdict: Verdict) -> None:
        self._books = books
        self._scope = scope
        self.verdict = verdict
        self.transaction = MemoryTransaction(books.values)
        self.end: End | None = None

    async def complete(self, end: End, /) -> Verdict:
        """Prepare *end*, which is written on leaving."""
        self.transaction.check()
        verdict = self._books.refuse(self._scope, end)
        self.end = end if verdict is Verdict.WRITTEN else None
        return verdict

    def commit(self) -> None:
        """Write what was prepared; raise StoreError if that can no longer be."""
        if self.end is None:
            return
        if self._books.refuse(self._scope, self.end) is not Verdict.WRITTEN:
            raise StoreError("memory store: another has written meanwhile; it is tried again")
        self.transaction.commit()
        self._books.write(self._scope, self.end)


class MemoryLedger:
    """The books of one service."""

    def __init__(self, books: Books, scope: Scope) -> None:
        self._books = books
        self._scope = scope
        self.order = order_in(books, scope)
        self.outbox = outbox_in(books, scope)

    async def recall(self, keys: Sequence[Key], /) -> Mapping[Key, Known]:
        """Tell what is known of *keys*; of unknown ones nothing."""
        service, handlers = self._scope.service, self._scope.handlers
        found = {
            key: self._books.known((service, handlers[key[0]], key[1], key[2])) for key in keys
        }
        return {key: known for key, known in found.items() if known is not None}

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        """Write each of *ends* whole or not at all; a verdict for each."""
        return [await self._finish(end) for end in ends]

    def effect(self, claim: Claim, /) -> AbstractAsyncContextManager[Effect[MemoryTransaction]]:
        """Open a transaction and claim in it; leaving it without ``complete`` rolls it back."""
        return self._effect(claim)

    async def note(self, attempts: Sequence[Attempt], /) -> None:
        """Remember failed attempts; of one that has ended meanwhile nothing is changed."""
        for attempt in attempts:
            self._books.note(self._scope, attempt)

    async def lease(self, claim: Claim, owner: str, duration: timedelta, /) -> Lease | Verdict:
        """Claim for *duration*, taking over what has run out; or say why not."""
        await self._books.free(list(self._scope.rows(claim)))
        verdict = self._books.judge(self._scope, claim, None)
        if verdict is not Verdict.WRITTEN:
            return verdict
        return Lease(claim=claim, fence=self._books.hold(self._scope, claim, owner, duration))

    async def renew(self, leases: Sequence[Lease], duration: timedelta, /) -> Sequence[bool]:
        """Prolong leases; False for each that is another's by now."""
        until = self._books.clock.now() + duration
        kept: list[bool] = []
        for lease in leases:
            rows = self._books.owned(self._scope, lease.claim, lease.fence)
            for row in rows:
                row.until = until
            kept.append(bool(rows))
        return kept

    async def release(self, lease: Lease, /) -> None:
        """Give a lease back, its event unfinished."""
        for row in self._books.owned(self._scope, lease.claim, lease.fence):
            row.state, row.until = State.OPEN, None
            row.fence += 1

    async def expire(self, before: datetime, limit: int, /) -> int:
        """Forget at most *limit* keys that ended *before*; return how many."""
        copied, own = self.order.lot.waiting(), self._scope.service
        old = (
            key
            for key, row in self._books.rows.items()
            if key[0] == own and row.ended is not None and row.ended < before and key not in copied
        )
        forgotten = list(islice(old, limit))
        for key in forgotten:
            del self._books.rows[key]
        return max(len(forgotten), self.order.streams.forget(before, limit))

    async def _finish(self, end: End) -> Verdict:
        await self._books.free(list(self._scope.rows(end.claim)))
        verdict = self._books.judge(self._scope, end.claim, end.fence)
        if verdict is Verdict.WRITTEN:
            verdict = self._books.refuse(self._scope, end)
        if verdict is Verdict.WRITTEN:
            self._books.write(self._scope, end)
        return verdict

    @asynccontextmanager
    async def _effect(self, claim: Claim) -> AsyncGenerator[MemoryEffect]:
        keys = list(self._scope.rows(claim))
        await self._books.free(keys)
        verdict = self._books.judge(self._scope, claim, None)
        effect = MemoryEffect(self._books, self._scope, verdict)
        if verdict is not Verdict.WRITTEN:
            yield effect
            return
        self._books.occupy(keys)
        try:
            yield effect
            effect.commit()
        finally:
            self._books.vacate(keys)

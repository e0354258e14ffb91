"""One event's part of a transaction that it shares with others."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from choreo.errors import StoreError
from choreo.store.outbox import Emission
from choreo.store.port import Claim, End, Key, Verdict
from choreo_sql.claiming import Claimed
from choreo_sql.failures import absent
from choreo_sql.link import Link, Statement
from choreo_sql.transaction import SqlTransaction


class Host(Protocol):
    """Who gives turns."""

    def join(self, member: "Member", /) -> None:
        """Let *member* wait for its turn."""
        ...

    def suspect(self, key: Key, /) -> None:
        """Give *key* a transaction of its own when it comes again."""
        ...


class Recorder(Protocol):
    """Who writes what a member ends with."""

    async def record(self, member: "Member", end: End, /) -> Verdict:
        """Write *end*, or see to it that it is written before the commit."""
        ...


class Member:
    """The transaction as one event's handler sees it; entering it waits for the turn."""

    def __init__(self, claim: Claim, host: Host) -> None:
        self.claim = claim
        self.verdict = Verdict.BUSY
        self.emitted: Sequence[Emission] = ()
        """What is to be written before the commit."""
        self.completed = False
        self.later: Sequence[Statement] = ()
        """The same, of its handler."""
        self.sealed = False
        """Its savepoint was released."""
        self._host = host
        self._claimed: Claimed | None = None
        self._transaction: SqlTransaction | None = None
        self._recorder: Recorder | None = None
        loop = asyncio.get_running_loop()
        self._admitted: asyncio.Future[None] = loop.create_future()
        self._left: asyncio.Future[None] = loop.create_future()
        self._settled: asyncio.Future[None] = loop.create_future()

    # ── as the pipeline has it ────────────────────────────────────────────────────────────────

    @property
    def transaction(self) -> SqlTransaction:
        """What the handler gets."""
        assert self._transaction is not None  # noqa: S101 -- whoever has its turn has one
        return self._transaction

    async def complete(self, end: End, /) -> Verdict:
        """Write *end*; raise what the handler's own unwritten changes meet with."""
        assert self._recorder is not None  # noqa: S101 -- as above
        self.transaction.check()
        await self.transaction.flush()
        self.transaction.check()
        verdict = await self._recorder.record(self, end)
        self.completed = verdict is Verdict.WRITTEN
        return verdict

    async def __aenter__(self) -> Self:
        """Wait for the turn, or for the verdict."""
        self._host.join(self)
        try:
            await self._admitted
        except BaseException:
            # Cancelled in the moment in which the turn came.
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the next one have its turn, and wait for the commit if there is anything in it."""
        if error is not None:
            self.completed = False
            if absent(error):
                self._host.suspect(self.claim.key)
        await self._leave()
        if self.completed:
            await self._settled

    async def _leave(self) -> None:
        try:
            if self._transaction is not None:
                await self._transaction.close()
        finally:
            if not self._left.done():
                self._left.set_result(None)

    # ── as who gives turns has it ─────────────────────────────────────────────────────────────

    @property
    def gone(self) -> bool:
        """Say whether it waits no longer."""
        return self._admitted.done()

    @property
    def claimed(self) -> Claimed:
        """The rows that were claimed for it."""
        assert self._claimed is not None  # noqa: S101 -- whoever had a turn has them
        return self._claimed

    @property
    def silent(self) -> bool:
        """Say whether nothing was written for it yet but rows that can be taken away again."""
        return not (self.transaction.spoke or self.claimed.there)

    async def turn(self, link: Link, recorder: Recorder, claimed: Claimed) -> None:
        """Let its handler run, and return when it has left."""
        self.verdict = Verdict.WRITTEN
        self._recorder = recorder
        self._claimed = claimed
        self._transaction = SqlTransaction(link)
        self._admitted.set_result(None)
        await self._left

    def suspected(self) -> None:
        """Have its turn in a transaction of its own: one with others was lost."""
        self._host.suspect(self.claim.key)

    def judged(self, verdict: Verdict) -> None:
        """Tell it that it has no turn to wait for."""
        self.verdict = verdict
        if not self._admitted.done():
            self._admitted.set_result(None)

    def refuse(self, error: BaseException) -> None:
        """Tell it that it can have no turn."""
        if not self._admitted.done():
            self._admitted.set_exception(_own(error))
            self._admitted.exception()  # whoever was cancelled meanwhile does not ask

    def committed(self) -> None:
        """Tell it that all of it is kept."""
        if not self._settled.done():
            self._settled.set_result(None)

    def failed(self, error: Exception) -> None:
        """Tell it that what its handler put off was refused."""
        self.completed = False
        if not self._settled.done():
            self._settled.set_exception(error)
            self._settled.exception()  # whoever was cancelled meanwhile does not ask

    def lost(self, error: BaseException, *, alone: bool) -> None:
        """Tell it that nothing of it is kept, or that nobody knows; it was *alone*, or was not."""
        if not alone:
            self._host.suspect(self.claim.key)
        if not self._settled.done():
            self._settled.set_exception(_own(error))
            self._settled.exception()  # whoever was cancelled meanwhile does not ask


def _own(error: BaseException) -> BaseException:
    """Make a fresh one for each: its traceback belongs to whoever it is raised to."""
    if not isinstance(error, StoreError):
        return error
    own = StoreError(*error.args)
    own.__cause__ = error.__cause__
    return own

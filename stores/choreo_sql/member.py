"""One event's part of a transaction that it shares with others."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from choreo.errors import StoreError
from choreo.store.outbox import Emission
from choreo.store.port import Claim, End, Key, State, Verdict
from choreo_sql.claiming import Claimed, Row, Wish, rows_of
from choreo_sql.failures import absent
from choreo_sql.link import Link, Statement
from choreo_sql.scopes import Scopes
from choreo_sql.transaction import SqlTransaction


class Host(Protocol):
    """Who gives turns."""

    def join(self, member: "Member", /) -> None:
        """Let *member* wait for its turn."""
        ...

    def suspect(self, key: Key, /) -> None:
        """Give *key* a transaction of its own when it comes again."""
        ...


class Stage(Protocol):
    """Where members have their turns."""

    async def enter(self, member: "Member", /) -> bool:
        """Wait until it is the turn of *member*, which was called; False if it has none here."""
        ...

    def left(self, member: "Member", /) -> None:
        """Hear that *member* wants nothing more."""
        ...

    async def record(self, member: "Member", end: End, /) -> Verdict:
        """Write *end*, or see to it that it is written before the commit."""
        ...


class Member:
    """The transaction as one event's handler sees it; entering it waits for the turn."""

    def __init__(self, claim: Claim, host: Host) -> None:
        self.claim = claim
        self.wanted: Sequence[Row] = ()
        """The rows that it wants, as it was to be called last."""
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
        self._stage: Stage | None = None
        self._left = False
        self._loop = asyncio.get_running_loop()
        self._called: asyncio.Future[Stage | None] = self._loop.create_future()
        self._turn: asyncio.Future[bool] | None = None
        self._settled: asyncio.Future[None] = self._loop.create_future()

    # ── as the pipeline has it ────────────────────────────────────────────────────────────────

    @property
    def transaction(self) -> SqlTransaction:
        """What the handler gets."""
        assert self._transaction is not None  # noqa: S101 -- whoever has its turn has one
        return self._transaction

    async def complete(self, end: End, /) -> Verdict:
        """Write *end*; raise what the handler's own unwritten changes meet with."""
        assert self._stage is not None  # noqa: S101 -- as above
        await self.transaction.flush()
        verdict = await self._stage.record(self, end)
        self.completed = verdict is Verdict.WRITTEN
        return verdict

    async def __aenter__(self) -> Self:
        """Wait for the turn, or for the verdict."""
        self._host.join(self)
        try:
            stage = await self._called
            while stage is not None and not await stage.enter(self):
                stage = await self._called
        except BaseException:
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
        self._left = True
        try:
            if self._transaction is not None:
                await self._transaction.close()
        finally:
            if self._stage is not None:
                self._stage.left(self)

    # ── as who gives turns has it ─────────────────────────────────────────────────────────────

    @property
    def gone(self) -> bool:
        """Say whether it waits no longer to be called."""
        return self._left or self._called.done()

    @property
    def began(self) -> bool:
        """Say whether it has, or had, its turn."""
        return self._transaction is not None

    @property
    def claimed(self) -> Claimed:
        """The rows that were claimed for it."""
        assert self._claimed is not None  # noqa: S101 -- whoever was called has them
        return self._claimed

    @property
    def silent(self) -> bool:
        """Say whether nothing was written for it yet but rows that can be taken away again."""
        transaction, claimed = self._transaction, self._claimed
        spoke = transaction is not None and transaction.spoke
        return not spoke and claimed is not None and not claimed.there

    def want(self, scopes: Scopes) -> None:
        """Say anew which rows it wants."""
        self.wanted = rows_of(Wish(claim=self.claim, state=State.DONE), scopes)

    def call(self, stage: Stage, claimed: Claimed) -> None:
        """Have it come to *stage*, where *claimed* rows are its own."""
        self._stage = stage
        self._claimed = claimed
        self._called.set_result(stage)

    async def turn(self) -> bool:
        """Wait, called, for its turn, or to be put off."""
        self._turn = self._loop.create_future()
        return await self._turn

    def come(self) -> None:
        """Have its turn begin, if it waits for that already."""
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(True)

    def begin(self, link: Link) -> None:
        """Let its handler run."""
        self.verdict = Verdict.WRITTEN
        self._transaction = SqlTransaction(link)

    def put_off(self) -> None:
        """Have it wait to be called once more."""
        if self._left:
            return
        self._stage = None
        self._called = self._loop.create_future()
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(False)

    def suspected(self) -> None:
        """Have its turn in a transaction of its own: one with others was lost."""
        self._host.suspect(self.claim.key)

    def judged(self, verdict: Verdict) -> None:
        """Tell it that it has no turn to wait for."""
        self.verdict = verdict
        if not self._called.done():
            self._called.set_result(None)

    def refuse(self, error: BaseException) -> None:
        """Tell it that it can have no turn."""
        if not self._called.done():
            self._called.set_exception(_own(error))
            self._called.exception()  # whoever was cancelled meanwhile does not ask

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

"""SqlLedger: the books of one service in one database."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from choreo.errors import StoreError
from choreo.store.port import Attempt, Claim, Effect, End, Key, Known, Lease, State, Verdict
from choreo_sql import attempts, leases, retention
from choreo_sql.claiming import Answer, Wish, take
from choreo_sql.connections import Connections
from choreo_sql.effect import Opening
from choreo_sql.finishing import HalfWritten, Result, finish
from choreo_sql.group import Group
from choreo_sql.moments import duration as microseconds
from choreo_sql.order import SqlOrder
from choreo_sql.outbox_relay import SqlOutbox
from choreo_sql.riding import Riding
from choreo_sql.scopes import Scopes
from choreo_sql.sharing import Sharing
from choreo_sql.transaction import SqlTransaction

BATCH = 500
"""Most that is written, or looked up, in one transaction."""


class SqlLedger:
    """The books of one service. What concurrent callers want is done together."""

    def __init__(self, connections: Connections, scopes: Scopes) -> None:
        self._connections = connections
        self.scopes = scopes
        one_writer = connections.url.get_backend_name() == "sqlite"
        self._riding = Riding(scopes) if one_writer else None
        self.order = SqlOrder(connections, scopes, self._riding)
        self.outbox = SqlOutbox(connections, scopes)
        self._sharing = Sharing(connections, scopes)
        self._finishing = Group[End, Verdict]("finish", self._finish, BATCH, self._finished)
        self._recalling = Group[Key, Known | None]("recall", self._recall, BATCH)
        self._noting = Group[Attempt, None]("note", self._note, BATCH)

    async def recall(self, keys: Sequence[Key], /) -> Mapping[Key, Known]:
        """Tell what is known of *keys*; of unknown ones nothing."""
        found = await self._recalling.submit(keys)
        return {key: known for key, known in zip(keys, found, strict=True) if known is not None}

    async def finish(self, ends: Sequence[End], /) -> Sequence[Verdict]:
        """Write each of *ends* whole or not at all; a verdict for each."""
        return await self._finishing.submit(ends)

    def effect(self, claim: Claim, /) -> AbstractAsyncContextManager[Effect[SqlTransaction]]:
        """Open a transaction and claim in it; leaving it without ``complete`` rolls it back."""
        if self._connections.together == 1:
            return Opening(self._connections, self.scopes, claim)
        return self._sharing.effect(claim)

    async def note(self, noted: Sequence[Attempt], /) -> None:
        """Remember failed attempts; of one that has ended meanwhile nothing is changed."""
        await self._noting.submit(noted)

    async def lease(self, claim: Claim, owner: str, duration: timedelta, /) -> Lease | Verdict:
        """Claim for *duration*, taking over what has run out; or say why not."""
        wish = Wish(claim=claim, state=State.CLAIMED, owner=owner, span=microseconds(duration))
        try:
            answer = await self._take(wish)
        except HalfWritten as half:
            return half.refused[0]
        if answer.verdict is not Verdict.WRITTEN:
            return answer.verdict
        return Lease(claim=claim, fence=answer.fence)

    async def renew(self, held: Sequence[Lease], duration: timedelta, /) -> Sequence[bool]:
        """Prolong leases; False for each that is another's by now."""
        if not held:
            return ()
        async with self._connections.writing() as connection:
            return await leases.renew(connection, self.scopes, held, duration)

    async def release(self, lease: Lease, /) -> None:
        """Give a lease back, its event unfinished."""
        async with self._connections.writing() as connection:
            await leases.release(connection, self.scopes, lease)

    async def expire(self, before: datetime, limit: int, /) -> int:
        """Forget at most *limit* keys that ended *before*; return how many."""
        async with self._connections.writing() as connection:
            return await retention.expire(connection, self.scopes, before, limit)

    async def close(self) -> None:
        """Return when nothing is being written any more."""
        await self._sharing.close()
        for group in (self._finishing, self._recalling, self._noting):
            await group.close()

    async def _take(self, wish: Wish) -> Answer:
        async with self._connections.writing() as connection:
            (answer,) = await take(connection, self.scopes, [wish])
            if answer.partly:
                raise HalfWritten({0: answer.verdict})
        return answer

    async def _finish(self, ends: Sequence[End]) -> Sequence[Result]:
        if self._riding is not None:
            self._riding.coming = True
        return await finish(self._connections, self.scopes, ends, self._riding)

    def _finished(self) -> None:
        if self._riding is not None:
            self._riding.end()

    async def _recall(self, keys: Sequence[Key]) -> Sequence[Known | StoreError | None]:
        async with self._connections.stating() as link:
            return await attempts.recall(link.say, link.dialect.name, self.scopes, keys)

    async def _note(self, noted: Sequence[Attempt]) -> Sequence[StoreError | None]:
        async with self._connections.writing() as connection:
            await attempts.note(connection, self.scopes, noted)
        return [None] * len(noted)

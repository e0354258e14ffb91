"""Connections that stay open between transactions: to take one from a pool costs several turns."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from types import TracebackType

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from choreo_sql.failures import of_driver
from choreo_sql.link import Link
from choreo_sql.links import link

Opening = Callable[[], AbstractAsyncContextManager[None]]
"""What opening a connection is done within."""
Mend = Callable[[], Awaitable[bool]]
"""Make a connection fit for the next one; False if it must go back to its pool."""


class Keeping:
    """The connections of one engine, lent to one transaction after the other."""

    def __init__(self, engine: AsyncEngine, patience: float) -> None:
        """Give up after *patience* seconds on a connection that does not answer."""
        self._engine = engine
        self._patience = patience
        self._idle: deque[Link] = deque()
        self._closed = False

    @property
    def idle(self) -> int:
        """How many are open, and lent to nobody."""
        return len(self._idle)

    async def lend(self, opening: Opening = nullcontext) -> Link:
        """Return one that is in no transaction; a new one is opened within *opening*."""
        while self._idle:
            one = self._idle.pop()
            if one.sound:
                return one
            await take_back(one.carrier, self._patience)
        async with opening():
            return link(await self._engine.connect())

    async def take_back(self, one: Link) -> None:
        """Keep one that was lent; whatever is open is rolled back."""
        if one.sound and one.at_rest and not self._closed:
            self._idle.append(one)
        else:
            await take_back(one.carrier, self._patience, partial(self._mend, one))

    async def close(self) -> None:
        """Close those that are not lent, and the others when they come back."""
        self._closed = True
        while self._idle:
            await take_back(self._idle.pop().carrier, self._patience)

    async def _mend(self, one: Link) -> bool:
        """Roll back, and keep the connection if that was all it wanted."""
        if one.sound:
            await one.roll_back()
        if not one.sound:
            await one.drop()
        elif not self._closed:
            self._idle.append(one)
            return True
        return False


class Loan:
    """A connection that is kept, lent to one transaction in its turn.

    It is a class because the generator of a context manager costs several times as much.
    """

    def __init__(
        self, turn: asyncio.Lock | asyncio.Semaphore, kept: Keeping, opening: Opening = nullcontext
    ) -> None:
        self._turn = turn
        self._kept = kept
        self._opening = opening
        self._link: Link | None = None

    async def __aenter__(self) -> Link:
        """Wait for the turn, and lend."""
        await self._turn.acquire()
        try:
            self._link = await self._kept.lend(self._opening)
        except BaseException:
            self._turn.release()
            raise
        return self._link

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take it back, rolled back if anything is open, and let the next one have it."""
        try:
            if self._link is not None:
                await self._kept.take_back(self._link)
        finally:
            self._turn.release()


async def take_back(connection: AsyncConnection, patience: float, mend: Mend | None = None) -> None:
    """Return the connection, unless *mend* keeps it, or drop one that does not answer.

    Who is cancelled meanwhile waits for that: a connection half returned would be lost.
    """
    task = asyncio.create_task(_close(connection, patience, mend), name="store-return")
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from task.exception()


async def _close(connection: AsyncConnection, patience: float, mend: Mend | None) -> None:
    try:
        async with asyncio.timeout(patience):
            if mend is None or not await mend():
                await connection.close()
    except Exception as error:
        # The pool has dropped what it could not roll back, unless it did not even come to that.
        if not of_driver(error):
            raise
        if not connection.closed:
            await connection.invalidate()
            await connection.close()

"""The saga of a run: an order is paid in time, or it lapses and is taken back.

It begins with the order and its timer, in one transaction.  Whichever comes first, the payment or
the timer, ends its waiting: the payment completes it, the timer undoes the order and publishes that
it has lapsed, and the saga has timed out once that was heard.  Payment and timer come over streams
of their own, to processes of their own, so that only the row that they both want tells who is
first.  Every second saga hardly waits, so that replies are late without any fault.
"""

from datetime import timedelta
from typing import Literal

from sqlalchemy import text

from choreo import Context, Service
from choreo_sql import SqlTransaction
from tests.prove.books import Books
from tests.prove.events import Body, Events, like

EVERY = 5
"""Every so manyeth request begins a saga."""
PATIENCE = timedelta(seconds=15)
HASTE = timedelta(seconds=1)
PLANTED = ("two-ends", "no-end")
"""Mistakes that the checker must find: nobody asks who was first, and timers come to nothing."""

BEGIN = text("INSERT INTO sagas (id, state) VALUES (:saga, 'open')")
CLOSE = text("UPDATE sagas SET state = :state WHERE id = :saga AND state = 'open'")
State = Literal["completed", "lapsed"]


def watched(body: Body) -> bool:
    """Say whether what is asked for has a saga."""
    return body.number % EVERY == 0


def patience(body: Body) -> timedelta:
    """Tell how long a saga waits for its payment."""
    return HASTE if body.number % (2 * EVERY) else PATIENCE


async def begin(body: Body, ctx: Context[SqlTransaction], overdue: Body, books: Books) -> None:
    """Begin a saga and its timer, in the transaction of the handler that places the order."""
    await ctx.transaction.connection.execute(BEGIN, {"saga": ctx.correlation_id})
    await books.step(ctx, "done", "placed")
    books.timer(await ctx.publish(overdue, delay=patience(body)), patience(body))


def waiting(service: Service[SqlTransaction], events: Events, books: Books) -> None:
    """Let an order's service hear of payments and timers."""

    async def settle(paid: Body, ctx: Context[SqlTransaction]) -> None:
        await books.effect(ctx, paid)
        if watched(paid) and await _first(ctx, "completed", books):
            await books.step(ctx, "ended", "completed")

    async def expire(overdue: Body, ctx: Context[SqlTransaction]) -> None:
        await books.effect(ctx, overdue)
        if books.planted != "no-end" and await _first(ctx, "lapsed", books):
            await books.step(ctx, "undone", "placed")
            await ctx.publish(like(overdue, events.lapsed))

    service.on(events.paid)(settle)
    service.on(events.overdue, publishes=[events.lapsed])(expire)


def hearing(service: Service[SqlTransaction], events: Events, books: Books) -> None:
    """Let another service hear that an order has lapsed, which ends its saga."""

    async def release(lapsed: Body, ctx: Context[SqlTransaction]) -> None:
        await books.effect(ctx, lapsed)
        await books.step(ctx, "ended", "timed out")

    service.on(events.lapsed)(release)


async def _first(ctx: Context[SqlTransaction], state: State, books: Books) -> bool:
    """Close the saga of this conversation; say whether it was open until now."""
    asked = {"saga": ctx.correlation_id, "state": state}
    closed = await ctx.transaction.connection.execute(CLOSE, asked)
    return closed.rowcount == 1 or books.planted == "two-ends"

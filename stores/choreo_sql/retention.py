"""Forgetting what ended long ago, a batch at a time (O8)."""

from datetime import datetime

from sqlalchemy import delete, exists, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from choreo_sql.inbox import KEY, inbox
from choreo_sql.lot import LOT
from choreo_sql.moments import micros
from choreo_sql.scopes import Scopes, handlers
from choreo_sql.streams import skip_table


async def expire(connection: AsyncConnection, scopes: Scopes, before: datetime, limit: int) -> int:
    """Delete at most *limit* rows that ended *before*; what has not ended has no such moment.

    What has a copy in the lot stays, as that may lie there for longer than anything is remembered.
    Handlers that the service no longer has are tidied as well.
    """
    own = select(handlers.c.number).where(handlers.c.service == scopes.service)
    copied = exists().where(*(LOT[column.name] == column for column in KEY))
    old = (
        select(*KEY)
        .where(inbox.c.scope.in_(own), inbox.c.ended < micros(before), ~copied)
        .limit(limit)
        .with_for_update(of=inbox, skip_locked=True)
    )
    done = await connection.execute(delete(inbox).where(tuple_(*KEY).in_(old)))
    skips = skip_table.c
    given_up = (
        select(skips.number)
        .where(skips.scope.in_(own), skips.at < micros(before))
        .order_by(skips.number)
        .limit(limit)
        .with_for_update(of=skip_table, skip_locked=True)
    )
    gone = await connection.execute(delete(skip_table).where(skips.number.in_(given_up)))
    return max(done.rowcount, gone.rowcount)

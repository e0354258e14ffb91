"""The operator's side of the outbox: what the broker refused, to be tried again or dropped."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.errors import ConfigurationError
from choreo.store.outbox import Delayed, Desk, Refused
from choreo_sql.connections import Connections
from choreo_sql.moments import moment, now
from choreo_sql.outbox_queries import literal_number
from choreo_sql.outbox_relay import read_message, read_row
from choreo_sql.outbox_settling import free
from choreo_sql.outbox_tables import ASIDE, LANE, ROW, SHARD, TIMER, WAITING, lanes, rows, timers
from choreo_sql.scopes import services
from choreo_sql.settings import shown

MOST_BEHIND = 1_000
"""Rows up to which those behind a refused one are counted."""


class SqlDesk:
    """Refused rows of one service in one database."""

    def __init__(self, connections: Connections, service: int) -> None:
        self._connections = connections
        self._service = service

    async def refused(self, limit: int, /) -> Sequence[Refused]:
        """List at most *limit* of the rows that the broker has refused, oldest first."""
        line = (LANE.service == ROW.service) & (LANE.lane == ROW.lane)
        behind = rows.alias("behind")
        same = (behind.c.service == self._service) & (behind.c.lane == ROW.lane)
        following = (
            select(behind.c.id)
            .where(same, behind.c.state == literal_number(WAITING), behind.c.id > ROW.id)
            .limit(MOST_BEHIND)
            .correlate(rows)
            .subquery()
        )
        query = (
            select(rows, LANE.due, select(func.count()).select_from(following).scalar_subquery())
            .select_from(rows.outerjoin(lanes, line))
            .where(self._of(None))
            .order_by(ROW.id)
            .limit(limit)
        )
        async with self._connections.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        return [
            Refused(
                row=read_row(one),
                reason=one["reason"] or "",
                due=None if aside or one["due"] is None else moment(one["due"]),
                aside=aside,
                behind=0 if aside else one["anon_1"],
            )
            for one in found
            for aside in (one["state"] == ASIDE,)
        ]

    async def retry(self, ids: Collection[int] | None, /) -> int:
        """Have refused rows tried at once, attempts counted anew: all, or those of *ids*."""
        async with self._connections.writing() as connection:
            await self._alone(connection)
            found = await connection.execute(
                update(rows)
                .where(self._of(ids))
                .values(state=WAITING, attempts=0, reason=None)
                .returning(ROW.lane, ROW.shard)
            )
            again = found.all()
            for lane, shard in sorted(set(again)):
                upsert = (
                    postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
                )
                inserting = upsert(lanes).values(
                    service=self._service, lane=lane, shard=shard, due=now()
                )
                await connection.execute(
                    inserting.on_conflict_do_update(
                        index_elements=[LANE.service, LANE.lane],
                        set_={"due": inserting.excluded.due},
                    )
                )
            return len(again)

    async def drop(self, ids: Collection[int], /) -> int:
        """Delete refused rows, never to be published; what waited for them goes on."""
        async with self._connections.writing() as connection:
            await self._alone(connection)
            found = await connection.execute(
                delete(rows).where(self._of(ids)).returning(ROW.lane, ROW.state)
            )
            gone = found.all()
            heads = {lane for lane, state in gone if state == WAITING}
            if heads:
                waiting = (LANE.service == self._service) & LANE.lane.in_(sorted(heads))
                await connection.execute(update(lanes).where(waiting).values(due=now()))
                await free(connection, self._service, heads)
            return len(gone)

    async def timers(self, limit: int, /) -> Sequence[Delayed]:
        """List at most *limit* of the timers, those due first before the others."""
        own = select(timers).where(TIMER.service == self._service)
        async with self._connections.reading() as connection:
            found = await connection.execute(own.order_by(TIMER.due, TIMER.id).limit(limit))
            return [
                Delayed(identity=one["identity"], message=read_message(one), due=moment(one["due"]))
                for one in found.mappings()
            ]

    async def _alone(self, connection: AsyncConnection) -> None:
        """Keep relays from settling meanwhile: they hold their shards when they do."""
        own = SHARD.service == self._service
        await connection.execute(
            select(SHARD.shard).where(own).order_by(SHARD.shard).with_for_update()
        )

    def _of(self, ids: Collection[int] | None) -> ColumnElement[bool]:
        refused = (ROW.service == self._service) & (ROW.attempts > literal_number(0))
        return refused if ids is None else refused & ROW.id.in_(ids)


async def open_desk(connections: Connections, service: str) -> SqlDesk:
    """Open the desk of *service*; raise ConfigurationError for one that never ran here."""
    query = select(services.c.number).where(services.c.name == service)
    async with connections.reading() as connection:
        found = await connection.scalar(query)
    if found is None:
        raise ConfigurationError(
            f"no service {service!r} has ever kept its books in {shown(connections.url)}"
        )
    return SqlDesk(connections, found)


_: type[Desk] = SqlDesk

"""The relay's side of the outbox: shards, what is to go out, and what has become of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.message import Message
from choreo.store.outbox import Backlog, Outbox, Row, Settled, Share
from choreo.store.shards import PER_SHARD, SHARDS, divide
from choreo_sql.connections import Connections
from choreo_sql.moments import duration as microseconds
from choreo_sql.moments import moment, now
from choreo_sql.outbox import enter
from choreo_sql.outbox_entries import unpack_headers
from choreo_sql.outbox_queries import (
    READ,
    accepted_rows,
    counted,
    oldest,
    refused_rows,
    rows_to_send,
    waiting_lanes,
)
from choreo_sql.outbox_settling import accept, settle
from choreo_sql.outbox_tables import RELAY, SHARD, relays, shards
from choreo_sql.outbox_timers import due_timers, take, until_next
from choreo_sql.scopes import Scopes

DUE_LANES = 64
"""Waiting lanes that are tried in one round."""
PER_LANE = 16
"""Rows of one of them."""
TIMERS_AHEAD = 4
"""How many times its share of due timers is looked at in each shard: one may hold more of the
soonest than another."""
MOST_COUNTED = 100_000
"""Rows up to which a backlog is counted."""


class SqlOutbox:
    """One service's outbox in one database."""

    def __init__(self, connections: Connections, scopes: Scopes) -> None:
        self._connections = connections
        self._service = scopes.service

    async def keep(self, holder: str, duration: timedelta, /) -> Share:
        """Prolong the holder's leases, and take free shards up to its fair share."""
        span = microseconds(duration)
        async with self._connections.writing() as connection:
            alive = await self._attend(connection, holder, span)
            mine = (SHARD.service == self._service) & (SHARD.owner == holder)
            renewed = await connection.execute(
                update(shards)
                .where(mine)
                .values(until=now() + span)
                .returning(SHARD.shard, SHARD.fence)
            )
            held: dict[int, int] = dict(renewed.all())
            division = divide(held, alive)
            if division.wanted:
                held |= await self._take(connection, holder, span, division.wanted)
        return Share(held=held, surplus=division.surplus, relays=alive)

    async def release(self, holder: str, given: Collection[int], /) -> None:
        """Give shards back at once, those that are the holder's."""
        async with self._connections.writing() as connection:
            mine = (SHARD.service == self._service) & (SHARD.owner == holder)
            await connection.execute(
                update(shards).where(mine, SHARD.shard.in_(given)).values(owner=None)
            )

    async def leave(self, holder: str, /) -> None:
        """Give everything back at once."""
        async with self._connections.writing() as connection:
            mine = (SHARD.service == self._service) & (SHARD.owner == holder)
            await connection.execute(update(shards).where(mine).values(owner=None))
            gone = (RELAY.service == self._service) & (RELAY.holder == holder)
            await connection.execute(delete(relays).where(gone))

    async def read(self, holder: str, limit: int, /) -> Sequence[Row]:
        """Return about *limit* rows of the holder's shards, in the order of their ids per lane."""
        bound: dict[str, object] = {
            "service": self._service,
            "holder": holder,
            "per_shard": max(limit // SHARDS, PER_SHARD),
            "per_lane": PER_LANE,
            "limit": DUE_LANES,
        }
        async with self._connections.asking() as link, self._connections.own():
            found = await link.say(rows_to_send(link.dialect.name), bound)
        return sorted(map(_read, found), key=lambda row: row.id)

    async def fire(self, holder: str, limit: int, /) -> timedelta | None:
        """Make rows of up to *limit* timers of the holder's shards that are due, soonest first."""
        bound: dict[str, object] = {"service": self._service, "holder": holder}
        per = max(TIMERS_AHEAD * limit // SHARDS, PER_SHARD)
        async with self._connections.asking() as link, self._connections.own():
            ((left,),) = await link.say(until_next(), bound)
            if left is None or left > 0:
                return None if left is None else timedelta(microseconds=left)
            query = due_timers(link.dialect.name)
            found = await link.say(query, {**bound, "per": per, "limit": limit})
            ids = [number for (number,) in found]
        async with self._connections.writing() as connection:
            await connection.run_sync(self._fire, ids)
        return timedelta(0)

    def _fire(self, connection: Connection, ids: Sequence[int]) -> None:
        enter(connection, self._service, take(connection, ids))

    async def settle(self, holder: str, settled: Settled, /) -> Collection[int]:
        """Write down what became of rows; return the shards that are another's by now."""
        plain = not settled.refused and not settled.behind
        if plain and not any(row.waiting for row in settled.accepted):
            async with self._connections.asking(writes=True) as link, self._connections.own():
                own = {"service": self._service, "holder": holder}
                deleted = await accept(link.say, link.dialect.name, own, settled.accepted)
            if deleted == len(settled.accepted):
                return ()
        async with self._connections.writing() as connection:
            return await settle(connection, self._service, holder, settled)

    async def backlog(self, holder: str, /) -> Backlog:
        """Tell how much lies in the holder's shards."""
        bound: dict[str, object] = {"service": self._service, "holder": holder}
        many = {**bound, "limit": MOST_COUNTED}
        async with self._connections.reading() as connection:
            depth = await connection.scalar(counted(accepted_rows()), many)
            waiting = await connection.scalar(counted(waiting_lanes()), many)
            quarantined = await connection.scalar(counted(refused_rows()), many)
            age = await connection.scalar(oldest(), bound)
        return Backlog(
            depth=depth or 0,
            oldest=None if age is None else timedelta(microseconds=max(0, age)),
            quarantined=quarantined or 0,
            waiting=waiting or 0,
        )

    async def _attend(self, connection: AsyncConnection, holder: str, span: int) -> int:
        """Say that *holder* is alive; return how many are."""
        upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        inserting = upsert(relays).values(service=self._service, holder=holder, until=now() + span)
        await connection.execute(
            inserting.on_conflict_do_update(
                index_elements=[RELAY.service, RELAY.holder],
                set_={"until": inserting.excluded.until},
            )
        )
        own = RELAY.service == self._service
        alive = await connection.scalar(
            select(func.count()).select_from(relays).where(own, RELAY.until > now())
        )
        await connection.execute(delete(relays).where(own, RELAY.until < now() - 10 * span))
        return alive or 1

    async def _take(
        self, connection: AsyncConnection, holder: str, span: int, wanted: int
    ) -> Mapping[int, int]:
        """Take up to *wanted* shards that nobody holds; pass over those that others reach for."""
        own = SHARD.service == self._service
        known = await connection.scalar(select(func.count()).select_from(shards).where(own))
        if known != SHARDS:
            await self._make_shards(connection)
        free = (
            select(SHARD.shard)
            .where(own, SHARD.owner.is_(None) | (SHARD.until < now()))
            .order_by(SHARD.shard)
            .limit(wanted)
            .with_for_update(skip_locked=True)
        )
        numbers = (await connection.scalars(free)).all()
        taken = await connection.execute(
            update(shards)
            .where(own, SHARD.shard.in_(numbers))
            .values(owner=holder, until=now() + span, fence=SHARD.fence + 1)
            .returning(SHARD.shard, SHARD.fence)
        )
        return dict(taken.all())

    async def _make_shards(self, connection: AsyncConnection) -> None:
        upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        missing = [
            {"service": self._service, "shard": shard, "until": 0, "fence": 0}
            for shard in range(SHARDS)
        ]
        await connection.execute(upsert(shards).on_conflict_do_nothing(), missing)


def read_row(one: RowMapping) -> Row:
    """Read a row of a query over the outbox."""
    columns = [one[name] for name in READ]
    return _read((*columns, False, False))


def _read(columns: Sequence[Any]) -> Row:
    """Read a row from the columns ``READ``, whether its lane waits, and whether it does itself."""
    number, shard, lane, identity, *rest = columns
    topic, key, packed, body, retain, place, epoch, created, attempts, blocked, waiting = rest
    headers, problem = unpack_headers(packed)
    return Row(
        id=number,
        shard=shard,
        lane=lane,
        identity=identity,
        message=Message(topic, body, key, headers, retain=bool(retain)),
        created=moment(created),
        number=place,
        epoch=epoch,
        attempts=attempts,
        blocked=bool(blocked and not waiting),
        waiting=bool(waiting),
        problem=problem,
    )


def read_message(one: RowMapping) -> Message:
    """Read the message in a timer."""
    headers, _ = unpack_headers(one["headers"])
    return Message(one["topic"], one["body"], one["key"], headers, retain=one["retain"])


_: type[Outbox] = SqlOutbox

"""How far each numbered stream has come: one row for each, and one for each gap given up."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, Table, exists, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

from choreo.store.streams import NOT_BEGUN, Advance, Position, Skip, StreamKey
from choreo_sql.connections import Connections
from choreo_sql.metadata import Identity, Name, metadata
from choreo_sql.moments import moment, now
from choreo_sql.rows import PLACE, Rows
from choreo_sql.scopes import Scopes
from choreo_sql.texts import compact

stream_table = Table(
    "choreo_stream",
    metadata,
    Column("scope", Integer, primary_key=True, autoincrement=False),
    Column("source", Name, primary_key=True),
    Column("stream", Name, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("next", BigInteger, nullable=False),
    # Where it stood before it moved last: what an upsert compares with, as "excluded".
    Column("before", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
skip_table = Table(
    "choreo_skip",
    metadata,
    Column("number", Identity, primary_key=True),
    Column("scope", Integer, nullable=False),
    Column("source", Name, nullable=False),
    Column("stream", Name, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

NAMES: Mapping[str, TypeEngine[Any]] = {"scope": Integer(), "source": Name, "stream": Name}
ASKED = Rows("asked", **NAMES)
STEPS = Rows("steps", **NAMES, epoch=BigInteger(), next=BigInteger(), before=BigInteger())
SKIPS = Rows("skips", **NAMES, epoch=BigInteger(), first=BigInteger(), last=BigInteger())

Place = tuple[int, str, str]
"""A stream as its row names it."""


class SqlStreams:
    """The positions of one service's streams."""

    def __init__(self, connections: Connections, scopes: Scopes) -> None:
        self._connections = connections
        self._scopes = scopes

    async def positions(self, streams: Sequence[StreamKey], /) -> Mapping[StreamKey, Position]:
        """Tell where *streams* stand; of those that nobody has begun nothing."""
        places = {_place(self._scopes, key): key for key in streams}
        async with self._connections.reading() as connection:
            dialect = connection.dialect.name
            asked, table = ASKED.of(dialect), stream_table.c
            query = select(
                table.scope, table.source, table.stream, table.epoch, table.next
            ).select_from(
                asked.join(
                    stream_table,
                    (table.scope == asked.c.scope)
                    & (table.source == asked.c.source)
                    & (table.stream == asked.c.stream),
                )
            )
            rows = await connection.execute(query, ASKED.bind(dialect, sorted(places)))
            return {
                places[scope, source, stream]: Position(epoch, following)
                for scope, source, stream, epoch, following in rows
            }

    async def move(self, advances: Sequence[Advance], /) -> Sequence[bool]:
        """Move streams without an event's end; False for each that does not fit."""
        async with self._connections.writing() as connection:
            return await advance(connection, self._scopes, advances)

    async def skips(self, limit: int, /) -> Sequence[Skip]:
        """List what was given up last, the latest first."""
        handlers = {scope: index for index, scope in enumerate(self._scopes.handlers)}
        table = skip_table.c
        query = (
            select(
                table.scope, table.source, table.stream, table.epoch,
                table.first, table.last, table.at,
            )
            .where(table.scope.in_(handlers))
            .order_by(table.number.desc())
            .limit(limit)
        )  # fmt: skip
        async with self._connections.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Skip(
                handler=handlers[scope],
                source=source,
                stream=stream,
                epoch=epoch,
                first=first,
                last=last,
                at=moment(at),
            )
            for scope, source, stream, epoch, first, last, at in rows
        ]


async def advance(
    connection: AsyncConnection, scopes: Scopes, advances: Sequence[Advance]
) -> Sequence[bool]:
    """Move streams on; False for each that did not stand where it was expected.

    Several steps of one stream come in order. The transaction is rolled back if any is False.
    """
    fits = [True] * len(advances)
    runs: dict[Place, list[list[int]]] = {}
    for index, step in enumerate(advances):
        _join(advances, runs.setdefault(_place(scopes, step), []), index)
    # One statement for all streams; a second only where one of them begins another epoch, or
    # where steps that cannot follow each other came together.
    for turn in zip_longest(*runs.values()):
        together = [(place, run) for place, run in zip(runs, turn, strict=True) if run is not None]
        moved = await _move(connection, advances, together)
        for place, run in together:
            for index in run:
                fits[index] = place in moved
    moved_on = [step for step, well in zip(advances, fits, strict=True) if well]
    await _record(connection, scopes, [step for step in moved_on if step.skipped])
    return fits


def _join(advances: Sequence[Advance], runs: list[list[int]], index: int) -> None:
    """Put a step behind those that it follows without a break."""
    step = advances[index]
    before = advances[runs[-1][-1]] if runs else None
    if before is not None and (before.epoch, before.next) == (step.epoch, step.expected):
        runs[-1].append(index)
    else:
        runs.append([index])


async def _move(
    connection: AsyncConnection,
    advances: Sequence[Advance],
    runs: Sequence[tuple[Place, list[int]]],
) -> set[Place]:
    """Move each stream over one run of steps; tell which have moved."""
    dialect = connection.dialect.name
    rows = sorted(
        (*place, advances[run[0]].epoch, advances[run[-1]].next, advances[run[0]].expected)
        for place, run in runs
    )
    result = await connection.execute(_statement(dialect), STEPS.bind(dialect, rows))
    return {(row.scope, row.source, row.stream) for row in result}


@cache
def _statement(dialect: str) -> Executable:
    steps, table = STEPS.of(dialect), stream_table.c
    known = exists().where(
        table.scope == steps.c.scope,
        table.source == steps.c.source,
        table.stream == steps.c.stream,
    )
    names = [column.name for column in stream_table.columns]
    # A fixed order of locking, so that two transactions never wait for each other.
    beginning = (
        select(*(steps.c[name] for name in names))
        .where(or_(steps.c.before == NOT_BEGUN, known))
        .order_by(steps.c[PLACE])
    )
    upsert = (postgresql if dialect == "postgresql" else sqlite).insert(stream_table)
    new = upsert.excluded
    statement: Executable = (
        upsert.from_select(names, beginning)
        .on_conflict_do_update(
            index_elements=[table.scope, table.source, table.stream],
            set_={"epoch": new.epoch, "next": new.next, "before": new.before},
            where=or_(
                (table.epoch == new.epoch) & (table.next == new.before),
                (table.epoch < new.epoch) & (new.before == NOT_BEGUN),
            ),
        )
        .returning(table.scope, table.source, table.stream)
    )
    return statement


async def _record(connection: AsyncConnection, scopes: Scopes, steps: Sequence[Advance]) -> None:
    """Keep what was given up as a fact."""
    if not steps:
        return
    dialect = connection.dialect.name
    skips = SKIPS.of(dialect)
    names = ["scope", "source", "stream", "epoch", "first", "last"]
    rows = [
        (*_place(scopes, step), step.epoch, step.next - 1 - step.skipped, step.next - 2)
        for step in steps
    ]
    given_up = select(*(skips.c[name] for name in names), now().label("at"))
    statement = insert(skip_table).from_select([*names, "at"], given_up)
    await connection.execute(statement, SKIPS.bind(dialect, rows))


def _place(scopes: Scopes, key: StreamKey | Advance) -> Place:
    if isinstance(key, Advance):
        key = (key.handler, key.source, key.stream)
    handler, source, stream = key
    return scopes.handlers[handler], compact(source), compact(stream)

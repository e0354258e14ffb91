"""What a relay asks: every query touches as many rows as it returns, however many there are.

Each walks one index from its beginning, shard by shard and lane by lane; none sorts, and none
counts beyond a limit.
"""

from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.selectable import FromClause

from choreo_sql.moments import instant, now
from choreo_sql.outbox_tables import (
    ASIDE,
    LANE,
    READY,
    ROW,
    SHARD,
    TIMER,
    WAITING,
    lanes,
    rows,
    shards,
)

_SERVICE: BindParameter[int] = bindparam("service")
_HELD = (SHARD.service == _SERVICE) & (SHARD.owner == bindparam("holder"))
_OWN = ROW.service == _SERVICE


def _state(value: int) -> ColumnElement[bool]:
    """Name a state as the partial indexes do: a parameter would not be known to fit them."""
    return ROW.state == literal_number(value)


def literal_number(value: int) -> ColumnElement[int]:
    """Write a number into a statement's text."""
    return literal_column(str(value), Integer())


READ = (
    "id", "shard", "lane", "identity", "topic", "key", "headers", "body", "retain", "number",
    "epoch", "created", "attempts",
)  # fmt: skip
"""Columns of a row that a relay reads."""


@cache
def rows_to_send(dialect: str) -> CompoundSelect[Any]:
    """Ask for both in one: the columns ``READ``, whether the lane waits, and whether the row does.

    Ready rows are the first *per_shard* of each shard, those that wait the first *per_lane*.
    """
    ready = ready_rows(dialect).add_columns(literal_column("0"))
    return union_all(ready, waiting_rows(dialect).add_columns(literal_column("1")))


@cache
def ready_rows(dialect: str) -> Select[Any]:
    """Ask for the first *per_shard* ready rows of each of *holder*'s, and whether they wait."""
    mine = (_OWN, ROW.shard == SHARD.shard, _state(READY))
    return _each(dialect, shards, _HELD, mine, "per_shard")


@cache
def waiting_rows(dialect: str) -> Select[Any]:
    """Ask for the first *per_lane* rows of *limit* lanes that wait and whose time has come."""
    due = (
        select(LANE.service, LANE.lane)
        .select_from(
            shards.join(lanes, (LANE.service == SHARD.service) & (LANE.shard == SHARD.shard))
        )
        .where(_HELD, LANE.due <= now())
        .limit(bindparam("limit"))
        .subquery("due")
    )
    mine = (_OWN, ROW.lane == due.c.lane, _state(WAITING))
    return _each(dialect, due, true(), mine, "per_lane")


def _each(
    dialect: str,
    outer: FromClause,
    condition: ColumnElement[bool],
    mine: tuple[ColumnElement[bool], ...],
    per: str,
) -> Select[Any]:
    """Take the first rows that are *mine* for each row of *outer*, as many as *per* names."""
    first: FromClause
    if dialect == "postgresql":
        first = select(rows).where(*mine).order_by(ROW.id).limit(bindparam(per)).lateral("first")
        source = outer.join(first, true())
    else:
        first = rows.alias("first")
        ids = select(ROW.id).where(*mine).order_by(ROW.id).limit(bindparam(per))
        source = outer.join(first, first.c.id.in_(ids.correlate(outer).scalar_subquery()))
    waits = (LANE.service == _SERVICE) & (LANE.lane == first.c.lane)
    blocked = select(LANE.lane).where(waits).exists().label("blocked")
    return select(*(first.c[name] for name in READ), blocked).select_from(source).where(condition)


@cache
def counted(query: Select[Any]) -> Select[int]:
    """Count what *query* finds, up to *limit*."""
    return select(func.count()).select_from(query.limit(bindparam("limit")).subquery())


@cache
def accepted_rows() -> Select[Any]:
    """Ask for the rows of the holder's shards that are ready or wait."""
    held = select(SHARD.shard).where(_HELD)
    ready = select(ROW.id).where(_OWN, ROW.shard.in_(held), _state(READY))
    line = (LANE.service == ROW.service) & (LANE.lane == ROW.lane)
    waiting = (
        select(ROW.id)
        .select_from(lanes.join(rows, line))
        .where(LANE.service == _SERVICE, LANE.shard.in_(held), _OWN, _state(WAITING))
    )
    return select(ready.union_all(waiting).subquery().c.id)


@cache
def waiting_lanes() -> Select[Any]:
    """Ask for the lanes of the holder's shards that wait."""
    held = select(SHARD.shard).where(_HELD)
    return select(LANE.lane).where(LANE.service == _SERVICE, LANE.shard.in_(held))


@cache
def refused_rows() -> Select[Any]:
    """Ask for the rows of the holder's shards that wait for an operator."""
    held = select(SHARD.shard).where(_HELD)
    line = (LANE.service == ROW.service) & (LANE.lane == ROW.lane)
    return (
        select(ROW.id)
        .select_from(rows.outerjoin(lanes, line))
        .where(_OWN, ROW.attempts > literal_number(0), ROW.shard.in_(held))
        .where(_state(ASIDE) | LANE.due.is_(None))
    )


@cache
def oldest() -> Select[int | None]:
    """Ask for the age, in microseconds, of the oldest row or due timer that is to go out."""
    head = (
        select(ROW.created)
        .where(_OWN, ROW.shard == SHARD.shard, _state(READY))
        .order_by(ROW.id)
        .limit(1)
    )
    ready = select(head.correlate(shards).scalar_subquery().label("created")).where(_HELD)
    held = select(SHARD.shard).where(_HELD)
    refused = select(ROW.created).where(
        _OWN, ROW.attempts > literal_number(0), ROW.shard.in_(held), ROW.state != ASIDE
    )
    first = (
        select(TIMER.due)
        .where(TIMER.service == _SERVICE, TIMER.shard == SHARD.shard, TIMER.due <= instant())
        .order_by(TIMER.due)
        .limit(1)
    )
    overdue = select(first.correlate(shards).scalar_subquery().label("created")).where(_HELD)
    every = ready.union_all(refused, overdue).subquery()
    return select(now() - func.min(every.c.created))

"""What is said of the parking lot again and again: compiled once, as the driver takes it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    LargeBinary,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from choreo_sql.lot import LINE, LOT, ORDER, line_table, lot_table
from choreo_sql.metadata import Fingerprint, Name
from choreo_sql.moments import now
from choreo_sql.rows import Rows

asked = Rows("asked", line=Fingerprint)
"""Lines that are asked for."""
own = Rows("own", scope=Integer())
"""Handlers that this version of the service has."""

_OWN = LINE.service == bindparam("service", type_=Integer())
_LINE = LINE.line == bindparam("line", type_=LargeBinary())
_HELD = and_(_OWN, _LINE, LINE.fence == bindparam("fence", type_=BigInteger()))
_CALLED = LINE.calls != LINE.heard


def _known(dialect: str) -> ColumnElement[bool]:
    return LINE.scope.in_(select(own.of(dialect).c.scope))


def _span() -> BindParameter[int]:
    return bindparam("span", type_=BigInteger())


@cache
def open_lines(dialect: str) -> Executable:
    """Ask which of the lines *asked* for are open."""
    lines = asked.of(dialect)
    return select(LINE.line).join(lines, LINE.line == lines.c.line).where(_OWN)


@cache
def lines_taken(dialect: str) -> Executable:
    """Take over at most *limit* lines that are due or called and nobody's, for a *span*."""
    wanted = or_(LINE.due <= now(), _CALLED)
    free = (
        select(LINE.line)
        .where(_OWN, _known(dialect), wanted, LINE.until <= now())
        .order_by(LINE.due)
        .limit(bindparam("limit", type_=Integer()))
        .with_for_update(skip_locked=True)  # which SQLite, with its one writer, leaves out
    )
    return (
        update(line_table)
        .where(_OWN, LINE.line.in_(free.scalar_subquery()))
        .values(until=now() + _span(), fence=LINE.fence + 1)
        .returning(
            LINE.line,
            LINE.fence,
            LINE.attempts,
            LINE.numbered,
            LINE.released,
            LINE.calls,
            (LINE.due - now()).label("rest"),
        )
    )


@cache
def next_due(dialect: str) -> Executable:
    """Ask in how many microseconds a line that is nobody's will be due."""
    later = func.max if dialect == "sqlite" else func.greatest
    due = case((_CALLED, LINE.until), else_=later(LINE.due, LINE.until))
    wanted = or_(LINE.due.is_not(None), _CALLED)
    return select(func.min(due) - now()).where(_OWN, _known(dialect), wanted)


@cache
def first_events() -> Executable:
    """Ask for at most *limit* of what comes first in a line that is held."""
    return (
        select(LOT.place, LOT.scope, LOT.generation, LOT.delivery)
        .join(line_table, (LINE.service == LOT.service) & (LINE.line == LOT.line))
        .where(_HELD)
        .order_by(*ORDER)
        .limit(bindparam("limit", type_=Integer()))
    )


@cache
def given_back(*, failed: bool) -> Executable:
    """Give a line back that is held, and was not called since; due after a *span*, if any."""
    return (
        update(line_table)
        .where(_HELD, LINE.calls == bindparam("calls", type_=BigInteger()))
        .values(
            attempts=LINE.attempts + 1 if failed else 0,
            due=now() + _span(),
            until=0,
            heard=LINE.calls,
            released=False,
            fence=LINE.fence + 1,  # who gives a line back holds it no more
            note=bindparam("note", type_=Text()),
        )
        .returning(LINE.line)
    )


@cache
def laid(dialect: str) -> ReturningInsert[Any, Any]:
    """Lay an event into a line that is open, unless it, or another of its name, is in the lot."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(lot_table)
    kinds: Mapping[str, TypeEngine[Any]] = {
        "scope": Integer(),
        "id": Name,
        "source": Name,
        "generation": Integer(),
        "delivery": LargeBinary(),
    }
    values = [bindparam(name, type_=kind) for name, kind in kinds.items()]
    zero = literal_column("0", Integer())
    row = select(LINE.service, LINE.line, *values, zero, zero).where(_OWN, _LINE)
    # Whoever lets the last event of the line out waits for this, or has been before it.
    chosen = row.with_for_update(of=line_table)
    statement: ReturningInsert[Any, Any] = (
        insert.from_select(["service", "line", *kinds, "epoch", "number"], chosen)
        .on_conflict_do_nothing()
        .returning(LOT.place, LOT.line)
    )
    return statement


@cache
def counted() -> Executable:
    """Count an event that was laid into a line."""
    return update(line_table).where(_OWN, _LINE).values(events=LINE.events + 1)


@cache
def laid_and_counted() -> Executable:
    """Do both in one statement, as PostgreSQL can: the line is locked before, and changed after."""
    one = laid("postgresql").cte("laid")
    more = update(line_table).where(_OWN, LINE.line == one.c.line)
    return more.values(events=LINE.events + 1).returning(one.c.place)

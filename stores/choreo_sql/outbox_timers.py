"""Emissions with a delay: kept beside the outbox until they are due, then moved into it.

When a timer is due the database's clock decides, which also began to count: a process whose clock
is wrong neither fires early nor late (A11, S5).  One index leads to the first that is due of each
shard, so that those that wait cost nothing, however many they are.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Connection,
    Insert,
    Integer,
    LargeBinary,
    Select,
    SmallInteger,
    Text,
    bindparam,
    delete,
    func,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningDelete
from sqlalchemy.sql.selectable import FromClause

from choreo_sql.metadata import Name
from choreo_sql.moments import duration, instant, now
from choreo_sql.outbox_entries import Entry
from choreo_sql.outbox_tables import SHARD, TIMER, shards, timers
from choreo_sql.rows import PLACE, Rows

GRAIN = {"sqlite": 2_000, "postgresql": 1}
"""Microseconds that a database's clock may leave out: a delay counted without them would be early.
SQLite counts milliseconds, and reads them from a Julian day that is right to 40 microseconds."""

windings = Rows(
    "windings",
    shard=SmallInteger(),
    lane=LargeBinary(16),
    identity=Name,
    topic=Text(),
    key=LargeBinary(),
    headers=Text(),
    body=LargeBinary(),
    retain=Boolean(),
    stream=Name,
    delay=BigInteger(),
)
doomed = Rows("doomed", id=BigInteger())

_SERVICE: BindParameter[int] = bindparam("service")
_HELD = (SHARD.service == _SERVICE) & (SHARD.owner == bindparam("holder"))
_MINE = (TIMER.service == _SERVICE) & (TIMER.shard == SHARD.shard)


def wind(
    connection: Connection, service: int, entries: Sequence[Entry], delays: Sequence[timedelta]
) -> None:
    """Keep *entries* until their delays are over; those that are kept already are left alone."""
    dialect = connection.dialect.name
    grain = GRAIN[dialect]
    packed = [
        (*entry, duration(delay) + grain) for entry, delay in zip(entries, delays, strict=True)
    ]
    if dialect == "postgresql":
        bound = windings.bind(dialect, packed)
        connection.execute(_wind_arrays(), {**bound, "service": service})
    else:
        names = windings.names
        parameters = [{"service": service, **dict(zip(names, one, strict=True))} for one in packed]
        connection.execute(_wind_each(), parameters)


def take(connection: Connection, ids: Sequence[int]) -> Sequence[Entry]:
    """Remove the timers of *ids* and return those that were still there, soonest first."""
    dialect = connection.dialect.name
    bound = doomed.bind(dialect, [(one,) for one in ids])
    found = connection.execute(_remove(dialect), bound).all()
    return [Entry._make(one[2:]) for one in sorted(found, key=lambda one: (one.due, one.id))]


# statements, whose text never depends on how many rows there are


@cache
def until_next() -> Select[int | None]:
    """Ask for the microseconds until the first timer of the holder's shards is due."""
    head = select(TIMER.due).where(_MINE).order_by(TIMER.due).limit(1)
    heads = select(head.correlate(shards).scalar_subquery().label("due")).where(_HELD).subquery()
    return select(func.min(heads.c.due) - now())


@cache
def due_timers(dialect: str) -> Select[int]:
    """Ask for the *limit* soonest of the first *per* timers that are due of each shard held."""
    first: FromClause
    soonest = (
        select(TIMER.id, TIMER.due)
        .where(_MINE, TIMER.due <= instant())
        .order_by(TIMER.due, TIMER.id)
        .limit(bindparam("per"))
    )
    if dialect == "postgresql":
        first = soonest.lateral("first")
        source = shards.join(first, true())
    else:
        first = timers.alias("first")
        ids = soonest.with_only_columns(TIMER.id).correlate(shards).scalar_subquery()
        source = shards.join(first, first.c.id.in_(ids))
    return (
        select(first.c.id)
        .select_from(source)
        .where(_HELD)
        .order_by(first.c.due, first.c.id)
        .limit(bindparam("limit"))
    )


@cache
def _wind_arrays() -> Insert:
    source = windings.of("postgresql")
    own = Entry._fields
    chosen = select(
        bindparam("service", type_=Integer()),
        *(source.c[name] for name in own),
        now() + source.c.delay,
    ).order_by(source.c[PLACE])
    return (
        postgresql.insert(timers)
        .from_select(["service", *own, "due"], chosen)
        .on_conflict_do_nothing()
    )


@cache
def _wind_each() -> Insert:
    given: dict[str, Any] = {name: bindparam(name) for name in ("service", *Entry._fields)}
    due = now() + bindparam("delay", type_=BigInteger())
    return sqlite.insert(timers).values({**given, "due": due}).on_conflict_do_nothing()


@cache
def _remove(dialect: str) -> ReturningDelete[Any]:
    chosen = select(doomed.of(dialect).c.id)
    own = (TIMER[name] for name in Entry._fields)
    return delete(timers).where(TIMER.id.in_(chosen)).returning(TIMER.id, TIMER.due, *own)

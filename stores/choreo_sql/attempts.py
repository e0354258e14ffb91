"""What is remembered of events: looked up many at a time, and failed attempts noted."""

from collections.abc import Mapping, Sequence
from functools import cache

from sqlalchemy import (
    BigInteger,
    Integer,
    SmallInteger,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy import true as always
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable

from choreo.store.port import Attempt, Key, Known, State
from choreo_sql.claiming import row_key
from choreo_sql.inbox import KEY, NUMBERS, RowKey, inbox, keys, standing
from choreo_sql.link import Say
from choreo_sql.metadata import Fingerprint, Name
from choreo_sql.moments import micros, moment, now
from choreo_sql.rows import Rows
from choreo_sql.scopes import Scopes

failed = Rows(
    "failed",
    scope=Integer(),
    id=Name,
    source=Name,
    state=SmallInteger(),
    generation=Integer(),
    fingerprint=Fingerprint,
    attempts=Integer(),
    first_failed=BigInteger(),
)


async def recall(
    say: Say, dialect: str, scopes: Scopes, wanted: Sequence[Key]
) -> Sequence[Known | None]:
    """Look up *wanted*, in one query; None for each that is unknown."""
    rows = [row_key(key, scopes) for key in wanted]
    bound = keys.bind(dialect, list(dict.fromkeys(rows)))
    found: Mapping[RowKey, Known] = {
        (scope, identity, source): Known(
            state=standing(state, live=live),
            fingerprint=bytes(fingerprint),
            generation=generation,
            attempts=attempts,
            # Whoever held a lease that ran out is taken to have died.
            crashes=crashes + (state == NUMBERS[State.CLAIMED] and not live),
            first_failed=None if first_failed is None else moment(first_failed),
        )
        for scope, identity, source, *kept, live in await say(_recall(dialect), bound)
        for state, fingerprint, generation, attempts, crashes, first_failed in [kept]
    }
    return [found.get(row) for row in rows]


async def note(connection: AsyncConnection, scopes: Scopes, attempts: Sequence[Attempt]) -> None:
    """Write down failed *attempts*; of what ended, or was replayed since, nothing is changed."""
    latest: dict[RowKey, Attempt] = {}
    back: set[RowKey] = set()
    for attempt in attempts:
        key = row_key(attempt.claim.key, scopes)
        if attempt.taken_back:
            back.add(key)
        elif key not in latest or _rank(latest[key]) < _rank(attempt):
            latest[key] = attempt
    ranked = sorted(latest.items(), key=lambda item: item[0])
    for forced in (False, True):
        values = [_row(key, each) for key, each in ranked if each.claim.forced is forced]
        if values:
            dialect = connection.dialect.name
            await connection.execute(_note(dialect, forced=forced), failed.bind(dialect, values))
    if back:
        await connection.execute(_less(sorted(back)))


def _less(rows: Sequence[RowKey]) -> Executable:
    """Count one attempt less of what has not ended."""
    open_ones = inbox.c.state.in_([NUMBERS[State.OPEN], NUMBERS[State.CLAIMED]])
    less = update(inbox).where(tuple_(*KEY).in_(rows), open_ones, inbox.c.attempts > 0)
    return less.values(attempts=inbox.c.attempts - 1)


def _row(key: RowKey, attempt: Attempt) -> Sequence[object]:
    return (
        *key,
        NUMBERS[State.OPEN],
        attempt.claim.generation,
        attempt.claim.fingerprint,
        attempt.attempts,
        micros(attempt.first_failed),
    )


def _rank(attempt: Attempt) -> tuple[int, int]:
    return attempt.claim.generation, attempt.attempts


@cache
def _recall(dialect: str) -> Executable:
    rows = keys.of(dialect)
    live = func.coalesce(inbox.c.until > now(), literal(value=False)).label("live")
    columns = (
        *(inbox.c.state, inbox.c.fingerprint, inbox.c.generation),
        *(inbox.c.attempts, inbox.c.crashes, inbox.c.first_failed),
    )
    same = and_(*(column == rows.c[column.name] for column in KEY))
    return select(*KEY, *columns, live).join(rows, same)


@cache
def _note(dialect: str, *, forced: bool) -> Executable:
    rows = failed.of(dialect)
    chosen = select(*(rows.c[name] for name in failed.names)).where(always())
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(inbox)
    new = insert.excluded
    same = inbox.c.generation == new.generation
    ended = inbox.c.state.in_([NUMBERS[State.DONE], NUMBERS[State.DEAD]])
    undone = literal(value=True) if forced else inbox.c.state != NUMBERS[State.DONE]
    replay = and_(inbox.c.generation < new.generation, undone)
    more = case((inbox.c.attempts > new.attempts, inbox.c.attempts), else_=new.attempts)
    return insert.from_select(failed.names, chosen).on_conflict_do_update(
        index_elements=list(KEY),
        set_={
            # A lease stays whose it is.
            "state": case((ended, new.state), else_=inbox.c.state),
            "generation": new.generation,
            "fingerprint": new.fingerprint,
            "ended": None,
            "attempts": case((same, more), else_=new.attempts),
            "crashes": case((same, inbox.c.crashes), else_=0),
            "first_failed": case(
                (same, func.coalesce(inbox.c.first_failed, new.first_failed)),
                else_=new.first_failed,
            ),
        },
        where=or_(and_(same, ~ended), replay),
    )

"""Events on their way out: rows of the transaction that emitted them.

Numbers come from the row of their stream, which stays locked until the transaction ends: two
writers of one stream take turns (R5), and what one of them emits gets its ids after its numbers, so
that both tell the same order.  Timers are written before them: whoever fires them removes them
first, too, and nobody waits in a circle.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Insert,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import ReturningInsert

from choreo.store.outbox import Emission
from choreo_sql.link import Link
from choreo_sql.metadata import Name
from choreo_sql.moments import now
from choreo_sql.outbox_entries import COLUMNS, Entry, packed
from choreo_sql.outbox_tables import ROW, STREAM, rows, streams
from choreo_sql.outbox_timers import wind
from choreo_sql.rows import PLACE, Rows
from choreo_sql.scopes import Scopes

Numbered = tuple[int, int]
"""Number and epoch."""

entries = Rows(
    "entries",
    shard=SmallInteger(),
    lane=LargeBinary(16),
    identity=Name,
    topic=Text(),
    key=LargeBinary(),
    headers=Text(),
    body=LargeBinary(),
    retain=Boolean(),
    number=BigInteger(),
    epoch=BigInteger(),
)
advances = Rows("advances", stream=Name, count=BigInteger())


async def insert(
    connection: AsyncConnection, scopes: Scopes, emissions: Sequence[Emission]
) -> None:
    """Keep *emissions* for the relay; those that are kept already under their id are left alone."""
    await connection.run_sync(put, scopes.service, emissions)


async def insert_plain(link: Link, scopes: Scopes, emissions: Sequence[Emission]) -> bool:
    """Keep *emissions* as ``insert`` does, if none wants a number or a delay; say whether it did.

    On SQLite they are written before the commit, together with what is said next.
    """
    inserting = _inserting(link, scopes, emissions)
    if inserting is None:
        return False
    await link.add(*inserting)
    return True


async def commit_with(link: Link, scopes: Scopes, emissions: Sequence[Emission]) -> bool:
    """Keep *emissions* as ``insert`` does, and commit; False if the database has rolled back."""
    inserting = _inserting(link, scopes, emissions) if emissions else None
    if inserting is not None:
        return await link.commit_with(*inserting)
    if emissions:
        await insert(link.own, scopes, emissions)
    return await link.commit()


def _inserting(
    link: Link, scopes: Scopes, emissions: Sequence[Emission]
) -> tuple[Executable, Sequence[Mapping[str, object]]] | None:
    """Compose what inserts *emissions*; None if one of them wants a number or a delay."""
    values: list[Sequence[object]] = []
    for one in emissions:
        if one.delay is not None or one.stream is not None:
            return None
        values.append((*packed(one)[: len(COLUMNS)], None, None))
    if len(values) > 1 and link.dialect.name == "postgresql":
        bound = entries.bind("postgresql", values)
        return _insert_arrays(), [{**bound, "service": scopes.service}]
    # One is cheaper in plain values.
    return _insert_each(link.dialect.name), _each(scopes.service, values)


def put(connection: Connection, service: int, emissions: Sequence[Emission]) -> None:
    """Keep *emissions* for the relay of the service numbered *service*, as ``insert`` does."""
    later = [(packed(one), one.delay) for one in emissions if one.delay is not None]
    if later:
        wind(connection, service, *zip(*later, strict=True))
    enter(connection, service, [packed(one) for one in emissions if one.delay is None])


def enter(connection: Connection, service: int, written: Sequence[Entry]) -> None:
    """Make rows of *written*, to be published now, in this order."""
    if not written:
        return
    places = _number(connection, service, written)
    values = [
        (*one[: len(COLUMNS)], *(place or (None, None)))
        for one, place in zip(written, places, strict=True)
    ]
    dialect = connection.dialect.name
    if dialect == "postgresql":
        bound = entries.bind(dialect, values)
        done = connection.execute(_insert_arrays(), {**bound, "service": service})
    else:
        # JSON takes no bytes of any length; the driver repeats the statement without a round trip.
        done = connection.execute(_insert_each(dialect), _each(service, values))
    if done.rowcount < len(written) and any(place is not None for place in places):
        _close_gaps(connection, service, written, places)


def _each(service: int, values: Sequence[Sequence[object]]) -> list[dict[str, object]]:
    names = entries.names
    return [{"service": service, **dict(zip(names, one, strict=True))} for one in values]


# numbers


def _number(
    connection: Connection, service: int, written: Sequence[Entry]
) -> list[Numbered | None]:
    """Give the next numbers of their streams to those that have one."""
    counts = Counter(one.stream for one in written if one.stream is not None)
    if not counts:
        return [None] * len(written)
    dialect = connection.dialect.name
    # In one order, whatever is emitted first: two writers of two streams must not wait in a circle.
    bound = advances.bind(dialect, sorted(counts.items()))
    found = connection.execute(_take_numbers(dialect), {**bound, "service": service})
    next_of = {stream: [number - counts[stream], epoch] for stream, number, epoch in found.all()}
    places: list[Numbered | None] = []
    for one in written:
        if one.stream is None:
            places.append(None)
            continue
        taken = next_of[one.stream]
        taken[0] += 1
        places.append((taken[0], taken[1]))
    return places


def _close_gaps(
    connection: Connection,
    service: int,
    written: Sequence[Entry],
    places: Sequence[Numbered | None],
) -> None:
    """Give the numbers that events took which were there already to those inserted after them.

    Nobody has seen the numbers: the streams are locked, and the transaction is open.
    """
    own = ROW.service == service
    query = select(ROW.identity, ROW.number, ROW.epoch).where(
        own, ROW.identity.in_([one.identity for one in written])
    )
    kept = {identity: (number, epoch) for identity, number, epoch in connection.execute(query)}
    missing: Counter[str] = Counter()
    for one, place in zip(written, places, strict=True):
        if one.stream is None or place is None:
            continue
        stream, identity = one.stream, one.identity
        number, epoch = place
        if kept.get(identity) != (number, epoch):
            missing[stream] += 1
        elif missing[stream]:
            number -= missing[stream]
            connection.execute(
                update(rows).where(own, ROW.identity == identity).values(number=number)
            )
    for stream, count in missing.items():
        same = (STREAM.service == service) & (STREAM.stream == stream)
        connection.execute(update(streams).where(same).values(number=STREAM.number - count))
        connection.execute(delete(streams).where(same, STREAM.number == 0))


# statements, whose text never depends on how many rows there are


@cache
def _insert_arrays() -> Insert:
    source = entries.of("postgresql")
    chosen = select(
        bindparam("service", type_=Integer()),
        *(source.c[name] for name in entries.names),
        now(),
    ).order_by(source.c[PLACE])
    return (
        postgresql.insert(rows)
        .from_select(["service", *entries.names, "created"], chosen)
        .on_conflict_do_nothing()
    )


@cache
def _insert_each(dialect: str) -> Insert:
    given: dict[str, Any] = {
        name: bindparam(name, type_=rows.c[name].type) for name in ("service", *entries.names)
    }
    upsert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement: Insert = upsert(rows).values({**given, "created": now()}).on_conflict_do_nothing()
    return statement


@cache
def _take_numbers(dialect: str) -> ReturningInsert[str, int, int]:
    source = advances.of(dialect)
    upsert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    chosen = (
        select(bindparam("service", type_=Integer()), source.c.stream, source.c.count, now())
        .where(source.c[PLACE] >= 0)  # SQLite reads ON CONFLICT as a join's ON without a WHERE
        .order_by(source.c[PLACE])
    )
    inserting = upsert(streams).from_select(["service", "stream", "number", "epoch"], chosen)
    return inserting.on_conflict_do_update(
        index_elements=[STREAM.service, STREAM.stream],
        set_={"number": STREAM.number + inserting.excluded.number},
    ).returning(STREAM.stream, STREAM.number, STREAM.epoch)

"""Laying events into lines of the parking lot: in one transaction, each once, in order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.errors import IdConflict, StoreError
from choreo.store.frames import pack, unpack
from choreo.store.lot import Laid, Parking
from choreo_sql import lot_queries as queries
from choreo_sql.connections import Connections
from choreo_sql.link import Link, committed
from choreo_sql.lot import LINE, LOT, ORDER, leave, line_table, lot_table
from choreo_sql.moments import duration, now
from choreo_sql.scopes import Scopes
from choreo_sql.streams import advance
from choreo_sql.texts import compact

NOTE = 500
"""Characters kept of what an event failed with."""
ITS_LINE = (LINE.service == LOT.service) & (LINE.line == LOT.line)
"""Joins an event to the line that it lies in."""
FIRST = (0, 0)
"""Stands for the number of an event that has none."""


class Moved(Exception):
    """Some events cannot be laid, by their index: the way out of a transaction."""

    def __init__(self, indices: Sequence[int]) -> None:
        super().__init__()
        self.indices = indices


async def park(
    connection: AsyncConnection, scopes: Scopes, events: Sequence[Parking], due: timedelta | None
) -> None:
    """Open the line of the first, and lay all into it; raise Moved if one cannot be."""
    await _lock(connection, scopes, events)
    await _open(connection, scopes, events[0], due)
    await _check(connection, scopes, events)
    if (await _lay(connection, scopes, events))[0] is Laid.CONFLICT:
        raise IdConflict("another payload is parked under the event's id")


async def append(
    connection: AsyncConnection, scopes: Scopes, events: Sequence[Parking], moved: set[int]
) -> Sequence[Laid]:
    """Lay into open lines what has not *moved*; raise Moved if more cannot be laid."""
    is_open = await _lock(connection, scopes, events)
    going = [
        index for index, event in enumerate(events) if index not in moved and event.line in is_open
    ]
    chosen = [events[index] for index in going]
    try:
        await _check(connection, scopes, chosen)
    except Moved as found:
        raise Moved([going[index] for index in found.indices]) from None
    laid = dict(zip(going, await _lay(connection, scopes, chosen), strict=True))
    return [laid.get(index, Laid.MOVED) for index in range(len(events))]


async def append_plain(connections: Connections, scopes: Scopes, events: Sequence[Parking]) -> bool:
    """Lay events that only wait behind others; False, with nothing written, if it is not so plain.

    It is what is said for each event behind a parked one: on the driver, and in one round trip.
    """
    if not all(map(plain, events)):
        return False
    if connections.url.get_backend_name() == "postgresql":
        if len(events) != 1:
            return False
        async with connections.stating(writes=True) as link:
            rows = await link.say(queries.laid_and_counted(), write(scopes, events[0]))
        return any(True for _ in rows)
    async with connections.stating(writes=True) as link:
        await link.begin()
        if not await lay_plain(link, [write(scopes, event) for event in events]):
            return False  # what was laid is rolled back as the connection is given back
        await committed(link, connections.url)
    return True


async def lay_plain(link: Link, written: Sequence[Mapping[str, object]]) -> bool:
    """Lay what ``write`` has written in the transaction of *link*; False at the first in vain."""
    for values in written:
        rows = await link.say(queries.laid(link.dialect.name), values)
        if not any(True for _ in rows):
            return False
        await link.add(queries.counted(), [values])
    return True


def plain(event: Parking) -> bool:
    """Say whether nothing else is to be done but to lay it behind what is there."""
    return event.number is None and not (event.advance or event.leaves or event.late)


def write(scopes: Scopes, event: Parking) -> Mapping[str, object]:
    """Write down what every event has; that is all of what is ``plain``."""
    return {
        "service": scopes.service,
        "line": event.line,
        "scope": scopes.handlers[event.handler],
        "id": compact(event.id),
        "source": compact(event.source),
        "generation": event.generation,
        "delivery": pack(event.delivery),
    }


def legible(note: str) -> str:
    """Make a note that every database keeps."""
    return note[:NOTE].replace("\0", " ").encode("utf-8", "replace").decode()


async def _lock(
    connection: AsyncConnection, scopes: Scopes, events: Sequence[Parking]
) -> frozenset[bytes]:
    """Lock the lines that events go to or leave, in the order that all do; tell which are open."""
    leaving = [event.leaves.place for event in events if event.leaves is not None]
    lines = {event.line for event in events}
    if leaving:
        query = select(LOT.line).where(LOT.place.in_(leaving))
        lines.update((await connection.execute(query)).scalars())
    locked = (
        select(LINE.line)
        .where(LINE.service == scopes.service, LINE.line.in_(lines))
        .order_by(LINE.line)
        .with_for_update()
    )
    return frozenset((await connection.execute(locked)).scalars())


async def _open(
    connection: AsyncConnection, scopes: Scopes, head: Parking, due: timedelta | None
) -> None:
    """Make the line, or lock it where it is there."""
    dialect = connection.dialect.name
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(line_table)
    statement = insert.values(
        service=scopes.service,
        line=head.line,
        scope=scopes.handlers[head.handler],
        events=0,
        attempts=0,
        due=None if due is None else now() + duration(due),
        numbered=head.number is not None,
        source=compact(head.source),
        stream=compact(head.stream),
        calls=0,
        heard=0,
        released=False,
        until=0,
        fence=0,
        since=now(),
        note=legible(head.note),
    ).on_conflict_do_update(index_elements=[LINE.service, LINE.line], set_={"events": LINE.events})
    await connection.execute(statement)


async def _check(connection: AsyncConnection, scopes: Scopes, events: Sequence[Parking]) -> None:
    """Move streams, and take events out of other lines; raise Moved if that does not fit."""
    moved: set[int] = set()
    steps = [(index, event.advance) for index, event in enumerate(events) if event.advance]
    if steps:
        stood = await advance(connection, scopes, [step for _, step in steps])
        moved.update(index for (index, _), well in zip(steps, stood, strict=True) if not well)
    places = [(index, event.leaves) for index, event in enumerate(events) if event.leaves]
    if places:
        left = await leave(connection, scopes, [ticket for _, ticket in places])
        moved.update(index for (index, _), well in zip(places, left, strict=True) if not well)
    if moved:
        raise Moved(sorted(moved))


async def _lay(
    connection: AsyncConnection, scopes: Scopes, events: Sequence[Parking]
) -> Sequence[Laid]:
    dialect = connection.dialect.name
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(lot_table)
    statement = insert.on_conflict_do_nothing().returning(LOT.place)
    counts: Counter[bytes] = Counter()
    called: set[bytes] = set()
    laid: list[Laid] = []
    for event in events:
        if event.number is not None and await _calls(connection, scopes, event):
            called.add(event.line)
        epoch, number = event.number or FIRST
        row = {**write(scopes, event), "epoch": epoch, "number": number}
        if event.late:
            laid.append(await _there(connection, row, event) or Laid.ABSENT)
            continue
        place = await connection.scalar(statement.values(row))
        if place is None and event.number is None and await _taken_out(connection, row, event):
            place = await connection.scalar(statement.values(row))
        counts[event.line] += place is not None
        there = None if place is not None else await _there(connection, row, event)
        laid.append(there or Laid.LAID)
    await _count(connection, scopes, counts, called)
    return laid


async def _taken_out(
    connection: AsyncConnection, row: Mapping[str, object], event: Parking
) -> bool:
    """Take a copy that waits for its number out of its line: that number is this event's by now."""
    found = select(LOT.place, LOT.line, LOT.delivery).join(line_table, ITS_LINE & LINE.numbered)
    copy = (await connection.execute(found.where(_same(row)))).first()
    if copy is None or unpack(copy.delivery).body != event.delivery.body:
        return False
    # Its line was not known to be locked in order with the others: two such may meet, rarely, and
    # one of them is tried again.
    own = (LINE.service == row["service"]) & (LINE.line == copy.line)
    await connection.execute(update(line_table).where(own).values(events=LINE.events - 1))
    gone = await connection.execute(delete(lot_table).where(LOT.place == copy.place))
    if gone.rowcount != 1:
        raise StoreError("a copy of an event left its line meanwhile: trying again")
    await connection.execute(delete(line_table).where(own, LINE.events == 0))
    return True


def _same(row: Mapping[str, object]) -> ColumnElement[bool]:
    names = ("service", "scope", "id", "source", "generation")
    return and_(*(lot_table.c[name] == row[name] for name in names))


async def _there(
    connection: AsyncConnection, row: Mapping[str, object], event: Parking
) -> Laid | None:
    """Tell an event that lies there already from another that bears its id; None for neither."""
    query = select(LOT.delivery).where(_same(row))
    if event.late:
        query = query.join(line_table, ITS_LINE & ~LINE.numbered)
    frame = await connection.scalar(query)
    if frame is None:
        return None
    return Laid.CONFLICT if unpack(frame).body != event.delivery.body else Laid.THERE


async def _calls(connection: AsyncConnection, scopes: Scopes, event: Parking) -> bool:
    """Say whether it comes before all that waits in its line, or begins an epoch behind it."""
    within = (LOT.service == scopes.service) & (LOT.line == event.line)
    first = select(LOT.epoch, LOT.number).where(within).order_by(*ORDER).limit(1)
    last = select(LOT.epoch).where(within).order_by(*(each.desc() for each in ORDER)).limit(1)
    head = (await connection.execute(first)).first()
    if head is None or event.number is None:
        return False
    return event.number < tuple(head) or event.number[0] > ((await connection.scalar(last)) or 0)


async def _count(
    connection: AsyncConnection, scopes: Scopes, counts: Counter[bytes], called: set[bytes]
) -> None:
    own = LINE.service == scopes.service
    for line, count in sorted(counts.items()):
        more = case((LINE.numbered, 1), else_=0) if line in called else 0
        await connection.execute(
            update(line_table)
            .where(own, LINE.line == line)
            .values(events=LINE.events + count, calls=LINE.calls + more)
        )
    # A line that was opened for what lies behind another line already has nothing in it.
    if opened_in_vain := [line for line, count in counts.items() if not count]:
        empty = delete(line_table).where(own, LINE.line.in_(opened_in_vain), LINE.events == 0)
        await connection.execute(empty)

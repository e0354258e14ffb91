"""The parking lot: a row for each line and for each event in it.

Whoever lays an event into a line, or lets one out, locks the line's row first.
"""

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    case,
    delete,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.store.lot import Ticket
from choreo_sql.metadata import Fingerprint, Identity, Name, metadata
from choreo_sql.moments import now
from choreo_sql.scopes import Scopes

line_table = Table(
    "choreo_line",
    metadata,
    Column("service", Integer, primary_key=True, autoincrement=False),
    Column("line", Fingerprint, primary_key=True),
    Column("scope", Integer, nullable=False),
    Column("events", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Nobody's turn comes while it is null: the line is held.
    Column("due", BigInteger),
    # Its events are in the order of their numbers; and how often it was called, or that was heard.
    Column("numbered", Boolean, nullable=False),
    # The stream that it waits for: its row, with the scope, in the table of streams.
    Column("source", Name),
    Column("stream", Name),
    Column("calls", BigInteger, nullable=False),
    Column("heard", BigInteger, nullable=False),
    # An operator lets it go on past its gap; where it is not numbered: it goes to the dead letters.
    Column("released", Boolean, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
)
Index("choreo_line_due", line_table.c.service, line_table.c.due)
lot_table = Table(
    "choreo_lot",
    metadata,
    Column("place", Identity, primary_key=True),
    Column("service", Integer, nullable=False),
    Column("line", Fingerprint, nullable=False),
    Column("scope", Integer, nullable=False),
    Column("id", Name, nullable=False),
    Column("source", Name, nullable=False),
    Column("generation", Integer, nullable=False),
    # Zero in lines whose events wait as they came.
    Column("epoch", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("delivery", LargeBinary, nullable=False),
    UniqueConstraint("scope", "id", "source", "generation"),
    # A place that was left is never given again: a ticket for it must not fit another event.
    sqlite_autoincrement=True,
)
LINE, LOT = line_table.c, lot_table.c
ORDER = (LOT.epoch, LOT.number, LOT.place)
"""In which the events of a line wait."""
Index("choreo_lot_line", LOT.service, LOT.line, *ORDER)


async def leave(
    connection: AsyncConnection, scopes: Scopes, places: Sequence[Ticket]
) -> Sequence[bool]:
    """Take parked events out; False for each whose place is no longer there, or no longer held.

    The transaction is rolled back if any is False. Their lines are locked before anything else is
    touched, so that whoever lays an event behind them comes before, or finds the line gone.
    """
    own = LOT.service == scopes.service
    query = select(LOT.place, LOT.line).where(own, LOT.place.in_([place for place, _ in places]))
    found = await connection.execute(query)
    lines = dict(found.all())
    left: dict[int, bool] = {}
    for ticket in sorted(places, key=lambda ticket: lines.get(ticket.place, b"")):
        left[ticket.place] = ticket.place in lines and await _leave(
            connection, scopes, lines[ticket.place], ticket
        )
    return [left[ticket.place] for ticket in places]


async def _leave(connection: AsyncConnection, scopes: Scopes, line: bytes, ticket: Ticket) -> bool:
    held = (LINE.service == scopes.service) & (LINE.line == line) & (LINE.fence == ticket.fence)
    statement = (
        update(line_table)
        .where(held)
        .values(events=LINE.events - 1, attempts=0, note="")
        .returning(LINE.events)
    )
    events = await connection.scalar(statement)
    if events is None:
        return False
    gone = delete(lot_table).where(LOT.place == ticket.place)
    if (await connection.execute(gone)).rowcount != 1:
        return False
    if events == 0:
        await connection.execute(delete(line_table).where(held))
    return True


async def drop(
    connection: AsyncConnection, scopes: Scopes, lines: Sequence[bytes], most: int | None
) -> int:
    """Delete at most so many of the first events of each line, or all; return how many."""
    own, gone = LINE.service == scopes.service, 0
    locked = select(LINE.line).where(own, LINE.line.in_(lines)).order_by(LINE.line)
    for line in (await connection.execute(locked.with_for_update())).scalars().all():
        within = (LOT.service == scopes.service) & (LOT.line == line)
        first = select(LOT.place).where(within).order_by(*ORDER).limit(most).scalar_subquery()
        count = (await connection.execute(delete(lot_table).where(LOT.place.in_(first)))).rowcount
        gone += count
        freed = update(line_table).where(own, LINE.line == line)
        await connection.execute(
            freed.values(
                events=LINE.events - count,
                attempts=0,
                due=case((LINE.numbered, LINE.due), else_=now()),
                calls=LINE.calls + case((LINE.numbered, 1), else_=0),
                until=0,
                fence=LINE.fence + 1,
                note="",
            )
        )
        empty = delete(line_table).where(own, LINE.line == line, LINE.events == 0)
        await connection.execute(empty)
    return gone

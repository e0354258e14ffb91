"""What waits in the parking lot: laying into a line, working on it, and putting it off."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.store.frames import pack, unpack
from choreo.store.lot import Laid, Line, Parked, Parking, Ticket, Waiting
from choreo_sql.connections import Connections
from choreo_sql.lot import LINE, LOT, leave, line_table, lot_table
from choreo_sql.moments import duration, moment, now
from choreo_sql.scopes import Scopes
from choreo_sql.streams import advance
from choreo_sql.texts import compact

NOTE = 500
"""Characters kept of what an event failed with."""


class _Moved(Exception):
    def __init__(self, places: Sequence[int]) -> None:
        super().__init__()
        self.places = places


class SqlLot:
    """The lot of one service."""

    def __init__(self, connections: Connections, scopes: Scopes) -> None:
        self._connections = connections
        self._scopes = scopes

    async def park(self, head: Parking, behind: Sequence[Parking], due: timedelta, /) -> bool:
        """Open the line of *head*, due after a while, and lay *behind* into it, in order."""
        events = (head, *behind)
        try:
            async with self._connections.writing() as connection:
                await self._open(connection, head, due)
                await self._advance(connection, events)
                await self._lay(connection, events)
        except _Moved:
            return False
        return True

    async def append(self, events: Sequence[Parking], /) -> Sequence[Laid]:
        """Lay events behind what waits in their lines, in order; tell what became of each."""
        moved: set[int] = set()
        while True:
            try:
                async with self._connections.writing() as connection:
                    return await self._append(connection, events, moved)
            except _Moved as found:
                moved.update(found.places)

    async def open(self, lines: Sequence[bytes], /) -> frozenset[bytes]:
        """Tell which of *lines* are open."""
        query = select(LINE.line).where(self._own, LINE.line.in_(lines))
        async with self._connections.reading() as connection:
            return frozenset((await connection.execute(query)).scalars())

    async def take(self, limit: int, lease: timedelta, /) -> Sequence[Line]:
        """Take over at most *limit* lines that are due and nobody's, those longest due first."""
        free = (
            select(LINE.line)
            .where(self._own, self._known, LINE.due <= now(), LINE.until <= now())
            .order_by(LINE.due)
            .limit(limit)
            .with_for_update(skip_locked=True)  # which SQLite, with its one writer, leaves out
        )
        statement = (
            update(line_table)
            .where(self._own, LINE.line.in_(free.scalar_subquery()))
            .values(until=now() + duration(lease), fence=LINE.fence + 1)
            .returning(LINE.line, LINE.fence, LINE.attempts)
        )
        async with self._connections.writing() as connection:
            rows = (await connection.execute(statement)).all()
        return [Line(line=line, fence=fence, attempts=attempts) for line, fence, attempts in rows]

    async def first(self, line: Line, limit: int, /) -> Sequence[Parked]:
        """List what comes first in a line; nothing if it is another's by now, or gone."""
        query = (
            select(LOT.place, LOT.scope, LOT.generation, LOT.delivery)
            .join(line_table, (LINE.service == LOT.service) & (LINE.line == LOT.line))
            .where(self._held(line))
            .order_by(LOT.place)
            .limit(limit)
        )
        async with self._connections.reading() as connection:
            rows = (await connection.execute(query)).all()
        handlers = {scope: index for index, scope in enumerate(self._scopes.handlers)}
        return [
            Parked(
                ticket=Ticket(place, line.fence),
                handler=handlers.get(scope),
                generation=generation,
                delivery=unpack(delivery),
            )
            for place, scope, generation, delivery in rows
        ]

    async def renew(self, lines: Sequence[Line], lease: timedelta, /) -> Sequence[bool]:
        """Prolong leases; False for each that is another's by now, or gone."""
        return await self._update(lines, {"until": now() + duration(lease)})

    async def leave(self, ticket: Ticket, /) -> bool:
        """Take an event out that no end takes out; False if it is not there, or not held."""
        async with self._connections.writing() as connection:
            return (await leave(connection, self._scopes, [ticket]))[0]

    async def put_off(self, line: Line, due: timedelta | None, note: str, /) -> bool:
        """Give a line back whose first event failed once more, due after a while or held."""
        values = {
            "attempts": LINE.attempts + 1,
            "due": None if due is None else now() + duration(due),
            "until": 0,
            "fence": LINE.fence + 1,  # who gives a line back holds it no more
            "note": _legible(note),
        }
        return (await self._update((line,), values))[0]

    async def give_back(self, line: Line, /) -> None:
        """Give a line back as it is; nothing happens if it is another's by now."""
        await self._update((line,), {"until": 0, "fence": LINE.fence + 1})

    async def revive(self, lines: Sequence[bytes] | None = None, /) -> int:
        """Let lines that are held go on, all of them if none is named; return how many."""
        held = update(line_table).where(self._own, LINE.due.is_(None))
        if lines is not None:
            held = held.where(LINE.line.in_(lines))
        async with self._connections.writing() as connection:
            return (await connection.execute(held.values(due=now(), attempts=0))).rowcount

    async def next_due(self) -> timedelta | None:
        """Tell how long it is until a line that is nobody's will be due; None if none will."""
        later = func.max if self._dialect == "sqlite" else func.greatest
        query = select(func.min(later(LINE.due, LINE.until)) - now()).where(
            self._own, self._known, LINE.due.is_not(None)
        )
        async with self._connections.reading() as connection:
            rest = await connection.scalar(query)
        return None if rest is None else timedelta(microseconds=max(0, rest))

    async def lines(self, limit: int, /) -> Sequence[Waiting]:
        """List the lines, the oldest first."""
        heads = (
            select(LOT.line, func.min(LOT.place).label("place"))
            .where(LOT.service == self._scopes.service)
            .group_by(LOT.line)
            .subquery()
        )
        query = (
            select(line_table, LOT.delivery)
            .join(heads, heads.c.line == LINE.line)
            .join(lot_table, heads.c.place == LOT.place)
            .where(self._own, self._known)
            .order_by(LINE.since)
            .limit(limit)
        )
        async with self._connections.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [self._shown(row) for row in rows]

    # -- within -----------------------------------------------------------------------------------

    @property
    def _dialect(self) -> str:
        return self._connections.url.get_backend_name()

    @property
    def _own(self) -> ColumnElement[bool]:
        return LINE.service == self._scopes.service

    @property
    def _known(self) -> ColumnElement[bool]:
        """Lines of handlers that this version of the service has."""
        return LINE.scope.in_(self._scopes.handlers)

    def _held(self, line: Line) -> ColumnElement[bool]:
        return self._own & (LINE.line == line.line) & (LINE.fence == line.fence)

    async def _update(self, lines: Sequence[Line], values: Mapping[str, object]) -> Sequence[bool]:
        done: list[bool] = []
        async with self._connections.writing() as connection:
            for line in sorted(lines, key=lambda line: line.line):
                result = await connection.execute(
                    update(line_table).where(self._held(line)).values(values)
                )
                done.append(result.rowcount == 1)
        order = sorted(range(len(lines)), key=lambda place: lines[place].line)
        answers = dict(zip(order, done, strict=True))
        return [answers[place] for place in range(len(lines))]

    async def _open(self, connection: AsyncConnection, head: Parking, due: timedelta) -> None:
        """Make the line, or lock it where it is there."""
        insert = (postgresql if self._dialect == "postgresql" else sqlite).insert(line_table)
        statement = insert.values(
            service=self._scopes.service,
            line=head.line,
            scope=self._scopes.handlers[head.handler],
            events=0,
            attempts=0,
            due=now() + duration(due),
            until=0,
            fence=0,
            since=now(),
            note=_legible(head.note),
        ).on_conflict_do_update(
            index_elements=[LINE.service, LINE.line], set_={"events": LINE.events}
        )
        await connection.execute(statement)

    async def _append(
        self, connection: AsyncConnection, events: Sequence[Parking], moved: set[int]
    ) -> Sequence[Laid]:
        lines = {event.line for event in events}
        locked = (
            select(LINE.line)
            .where(self._own, LINE.line.in_(lines))
            .order_by(LINE.line)
            .with_for_update()
        )
        is_open = frozenset((await connection.execute(locked)).scalars())
        going = [
            place
            for place, event in enumerate(events)
            if place not in moved and event.line in is_open
        ]
        chosen = [events[place] for place in going]
        try:
            await self._advance(connection, chosen)
        except _Moved as found:
            raise _Moved([going[place] for place in found.places]) from None
        laid = dict(zip(going, await self._lay(connection, chosen), strict=True))
        return [laid.get(place, Laid.MOVED) for place in range(len(events))]

    async def _advance(self, connection: AsyncConnection, events: Sequence[Parking]) -> None:
        steps = [
            (place, event.advance)
            for place, event in enumerate(events)
            if event.advance is not None
        ]
        if steps:
            stood = await advance(connection, self._scopes, [step for _, step in steps])
            moved = [place for (place, _), well in zip(steps, stood, strict=True) if not well]
            if moved:
                raise _Moved(moved)

    async def _lay(self, connection: AsyncConnection, events: Sequence[Parking]) -> Sequence[Laid]:
        insert = (postgresql if self._dialect == "postgresql" else sqlite).insert(lot_table)
        statement = insert.on_conflict_do_nothing().returning(LOT.place)
        counts: Counter[bytes] = Counter()
        laid: list[Laid] = []
        for event in events:
            row = {
                "service": self._scopes.service,
                "line": event.line,
                "scope": self._scopes.handlers[event.handler],
                "id": compact(event.id),
                "source": compact(event.source),
                "generation": event.generation,
                "delivery": pack(event.delivery),
            }
            place = await connection.scalar(statement.values(row))
            counts[event.line] += place is not None
            laid.append(Laid.THERE if place is None else Laid.LAID)
        for line, count in sorted(counts.items()):
            await connection.execute(
                update(line_table)
                .where(self._own, LINE.line == line)
                .values(events=LINE.events + count)
            )
        # A line that was opened for what lies behind another line already has nothing in it.
        await connection.execute(
            delete(line_table).where(self._own, LINE.line.in_(counts), LINE.events == 0)
        )
        return laid

    def _shown(self, row: RowMapping) -> Waiting:
        delivery = unpack(row["delivery"])
        return Waiting(
            line=row["line"],
            handler=self._scopes.handlers.index(row["scope"]),
            topic=delivery.topic,
            key=delivery.key,
            events=row["events"],
            attempts=row["attempts"],
            since=moment(row["since"]),
            due=None if row["due"] is None else moment(row["due"]),
            note=row["note"],
        )


def _legible(note: str) -> str:
    return note[:NOTE].replace("\0", " ").encode("utf-8", "replace").decode()

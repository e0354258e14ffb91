"""What waits in the parking lot: laying into a line, working on it, and putting it off."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, RowMapping, exists, func, select, tuple_, update

from choreo.errors import ConfigurationError
from choreo.store.frames import unpack
from choreo.store.lot import Laid, Line, Lot, Parked, Parking, Ticket, Waiting, key_of
from choreo_sql import laying
from choreo_sql import lot_queries as queries
from choreo_sql.connections import Connections
from choreo_sql.lot import LINE, LOT, ORDER, drop, leave, line_table, lot_table
from choreo_sql.moments import duration, moment, now
from choreo_sql.riding import Riding
from choreo_sql.scopes import Scopes, handlers, services
from choreo_sql.settings import shown
from choreo_sql.streams import stream_table

STREAM = stream_table.c


class SqlLot:
    """The lot of one service."""

    def __init__(
        self, connections: Connections, scopes: Scopes, riding: Riding | None = None
    ) -> None:
        self._connections = connections
        self._scopes = scopes
        self._riding = riding
        self._service: Mapping[str, object] = {"service": scopes.service}
        own = [(number,) for number in scopes.handlers]
        self._known_ones = queries.own.bind(self._dialect, own)

    async def park(
        self, head: Parking, behind: Sequence[Parking], due: timedelta | None, /
    ) -> bool:
        """Open the line of *head*, due after a while or held; lay *behind* into it, in order."""
        try:
            async with self._connections.writing() as connection:
                await laying.park(connection, self._scopes, (head, *behind), due)
        except laying.Moved:
            return False
        return True

    async def append(self, events: Sequence[Parking], /) -> Sequence[Laid]:
        """Lay events behind what waits in their lines, in order; tell what became of each."""
        if self._riding is not None and await self._riding.ride(events):
            return [Laid.LAID] * len(events)
        if await laying.append_plain(self._connections, self._scopes, events):
            return [Laid.LAID] * len(events)
        moved: set[int] = set()
        while True:
            try:
                async with self._connections.writing() as connection:
                    return await laying.append(connection, self._scopes, events, moved)
            except laying.Moved as found:
                moved.update(found.indices)

    async def open(self, lines: Sequence[bytes], /) -> frozenset[bytes]:
        """Tell which of *lines* are open."""
        asked = queries.asked.bind(self._dialect, [(line,) for line in lines])
        query = queries.open_lines(self._dialect)
        async with self._connections.stating() as link:
            rows = await link.say(query, {**self._service, **asked})
        return frozenset(line for (line,) in rows)

    async def take(self, limit: int, lease: timedelta, /) -> Sequence[Line]:
        """Take over at most *limit* lines that are due or called and nobody's, oldest first."""
        bound = {**self._service, **self._known_ones, "limit": limit, "span": duration(lease)}
        async with self._connections.stating(writes=True) as link:
            rows = await link.say(queries.lines_taken(self._dialect), bound)
        return [
            Line(
                line=line,
                fence=fence,
                attempts=attempts,
                numbered=bool(numbered),
                rest=None if rest is None else timedelta(microseconds=max(0, rest)),
                released=bool(released and numbered),
                doomed=bool(released and not numbered),
                calls=calls,
            )
            for line, fence, attempts, numbered, released, calls, rest in rows
        ]

    async def first(self, line: Line, limit: int, /) -> Sequence[Parked]:
        """List what comes first in a line; nothing if it is another's by now, or gone."""
        bound = {**self._service, "line": line.line, "fence": line.fence, "limit": limit}
        async with self._connections.stating() as link:
            rows = await link.say(queries.first_events(), bound)
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
        return await self._give_back(line, due, note, failed=True)

    async def wait(self, line: Line, due: timedelta | None, note: str, /) -> bool:
        """Give a numbered line back that waits for something new."""
        return await self._give_back(line, due, note, failed=False)

    async def heard(self, line: Line, /) -> None:
        """Give a numbered line back as it is: nothing came of what called it."""
        await self._update((line,), {"until": 0, "fence": LINE.fence + 1, "heard": line.calls})

    async def doom(self, line: Line, /) -> bool:
        """Have all of a line go to the dead letters; False if it is another's by now."""
        return (await self._update((line,), {"released": True}))[0]

    async def give_back(self, line: Line, /) -> None:
        """Give a line back as it is; nothing happens if it is another's by now."""
        await self._update((line,), {"until": 0, "fence": LINE.fence + 1})

    async def revive(self, lines: Sequence[bytes] | None = None, /) -> int:
        """Let lines go on at once, their attempts counted anew; return how many."""
        statement = update(line_table).where(self._own)
        if lines is None:
            statement = statement.where(LINE.due.is_(None), LINE.numbered.is_(False))
        else:
            statement = statement.where(LINE.line.in_(lines)).values(released=LINE.numbered)
        statement = statement.values(due=now(), attempts=0)
        async with self._connections.writing() as connection:
            return (await connection.execute(statement)).rowcount

    async def postpone(self, lines: Sequence[bytes], due: timedelta, /) -> None:
        """Have numbered lines be due after so long at the earliest."""
        later = now() + duration(due)
        statement = update(line_table).where(
            self._own, LINE.line.in_(lines), LINE.numbered, ~LINE.released, LINE.due < later
        )
        async with self._connections.writing() as connection:
            await connection.execute(statement.values(due=later))

    async def call(self, lines: Sequence[bytes] | None = None, /) -> frozenset[bytes]:
        """Have numbered lines looked at soon, all of them if none is named; return those there."""
        called = update(line_table).where(self._own, LINE.numbered)
        if lines is not None:
            called = called.where(LINE.line.in_(lines))
        called = called.values(calls=LINE.calls + 1)
        async with self._connections.writing() as connection:
            rows = await connection.execute(called.returning(LINE.line))
            return frozenset(rows.scalars())

    async def sweep(self, limit: int, /) -> int:
        """Call numbered lines whose stream has reached what comes first in them."""
        within = (LOT.service == LINE.service) & (LOT.line == LINE.line)
        stands = tuple_(STREAM.epoch, STREAM.next)
        reached = exists().where(within, tuple_(LOT.epoch, LOT.number) <= stands)
        missed = (
            select(LINE.line)
            .join(
                stream_table,
                (STREAM.scope == LINE.scope)
                & (STREAM.source == LINE.source)
                & (STREAM.stream == LINE.stream),
            )
            .where(self._own, self._known, LINE.numbered, LINE.calls == LINE.heard)
            .where(LINE.until <= now(), reached)
            .limit(limit)
        )
        async with self._connections.reading() as connection:  # writing takes a transaction
            lines = (await connection.execute(missed)).scalars().all()
        return len(await self.call(lines)) if lines else 0

    async def newest(self, line: Line, /) -> int:
        """Tell the highest epoch in a numbered line; 0 if there is nothing in it."""
        within = (LOT.service == self._scopes.service) & (LOT.line == line.line)
        async with self._connections.reading() as connection:
            return (await connection.scalar(select(func.max(LOT.epoch)).where(within))) or 0

    async def drop(self, lines: Sequence[bytes], most: int | None, /) -> int:
        """Delete at most so many of the first events of each line, or all; return how many."""
        async with self._connections.writing() as connection:
            return await drop(connection, self._scopes, lines, most)

    async def next_due(self) -> timedelta | None:
        """Tell how long it is until a line that is nobody's will be due; None if none will."""
        bound = {**self._service, **self._known_ones}
        async with self._connections.stating() as link:
            ((rest,),) = await link.say(queries.next_due(self._dialect), bound)
        return None if rest is None else timedelta(microseconds=max(0, rest))

    async def lines(self, limit: int, /) -> Sequence[Waiting]:
        """List the lines, the oldest first."""
        within = (LOT.service == LINE.service) & (LOT.line == LINE.line)
        first = select(LOT.place).where(within).order_by(*ORDER).limit(1)
        query = (
            select(line_table, LOT.delivery, handlers.c.name)
            .join(lot_table, LOT.place == first.correlate(line_table).scalar_subquery())
            .join(handlers, handlers.c.number == LINE.scope)
            .where(self._own)
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

    async def _give_back(
        self, line: Line, due: timedelta | None, note: str, *, failed: bool
    ) -> bool:
        bound = {
            **self._service,
            "line": line.line,
            "fence": line.fence,
            "calls": line.calls,
            "span": None if due is None else duration(due),
            "note": laying.legible(note),
        }
        async with self._connections.stating(writes=True) as link:
            rows = await link.say(queries.given_back(failed=failed), bound)
        return any(True for _ in rows)

    async def _update(
        self, lines: Sequence[Line], values: Mapping[str, object], *if_so: ColumnElement[bool]
    ) -> Sequence[bool]:
        done: list[bool] = []
        async with self._connections.writing() as connection:
            for line in sorted(lines, key=lambda line: line.line):
                result = await connection.execute(
                    update(line_table).where(self._held(line), *if_so).values(values)
                )
                done.append(result.rowcount == 1)
        order = sorted(range(len(lines)), key=lambda place: lines[place].line)
        answers = dict(zip(order, done, strict=True))
        return [answers[place] for place in range(len(lines))]

    def _shown(self, row: RowMapping) -> Waiting:
        delivery = unpack(row["delivery"])
        return Waiting(
            line=row["line"],
            handler=row["name"],
            topic=delivery.topic,
            key=key_of(delivery),
            events=row["events"],
            attempts=row["attempts"],
            since=moment(row["since"]),
            due=None if row["due"] is None else moment(row["due"]),
            note=row["note"],
            numbered=row["numbered"],
        )


async def open_lot(connections: Connections, service: str) -> SqlLot:
    """Open the lot of *service*; raise ConfigurationError for one that never ran here."""
    query = select(services.c.number).where(services.c.name == service)
    async with connections.reading() as connection:
        found = await connection.scalar(query)
        if found is None:
            raise ConfigurationError(
                f"no service {service!r} has ever kept its books in {shown(connections.url)}"
            )
        own = select(handlers.c.number).where(handlers.c.service == found)
        numbers = (await connection.execute(own.order_by(handlers.c.number))).scalars().all()
    return SqlLot(connections, Scopes(service, found, tuple(numbers)))


_: type[Lot] = SqlLot

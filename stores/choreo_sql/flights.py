"""What each process is at, and which events were in flight when one died."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    Table,
    bindparam,
    delete,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import Delete, Insert

from choreo.store.flights import Incarnation
from choreo_sql.connections import Connections
from choreo_sql.link import committed
from choreo_sql.metadata import Fingerprint, Name, metadata
from choreo_sql.moments import duration, now
from choreo_sql.rows import Rows
from choreo_sql.scopes import Scopes

process_table = Table(
    "choreo_process",
    metadata,
    Column("service", Integer, primary_key=True, autoincrement=False),
    Column("id", Name, primary_key=True),
    Column("host", Name, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Name, nullable=False),
    Column("until", BigInteger, nullable=False),
)
flight_table = Table(
    "choreo_flight",
    metadata,
    Column("service", Integer, primary_key=True, autoincrement=False),
    Column("process", Name, primary_key=True),
    Column("flight", BigInteger, primary_key=True, autoincrement=False),
    # Sixteen bytes for each event: one row is written however many there are.
    Column("events", LargeBinary, nullable=False),
)
suspect_table = Table(
    "choreo_suspect",
    metadata,
    Column("service", Integer, primary_key=True, autoincrement=False),
    Column("event", Fingerprint, primary_key=True),
    Column("crashes", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
)

PROCESS, FLIGHT, SUSPECT = process_table.c, flight_table.c, suspect_table.c
landing = Rows("landing", flight=BigInteger())
SIZE = 16
OLD = timedelta(days=30)
"""After this a suspect that never came again is forgotten: it was settled as its process died."""


class SqlFlights:
    """The flights of one service."""

    def __init__(self, connections: Connections, scopes: Scopes) -> None:
        self._connections = connections
        self._service = scopes.service

    async def keep(self, own: Incarnation, lease: timedelta, /) -> Sequence[Incarnation]:
        """Say that *own* is alive, for *lease*; list the other ones that are."""
        async with self._connections.writing() as connection:
            dialect = connection.dialect.name
            row = (postgresql if dialect == "postgresql" else sqlite).insert(process_table)
            until = now() + duration(lease)
            values = {
                "service": self._service,
                "id": own.id,
                "host": own.host,
                "pid": own.pid,
                "started": own.started,
                "until": until,
            }
            await connection.execute(
                row.values(values).on_conflict_do_update(
                    index_elements=[PROCESS.service, PROCESS.id], set_={"until": until}
                )
            )
            return await self._processes(
                connection, (PROCESS.id != own.id) & (PROCESS.until > now())
            )

    async def overdue(self) -> Sequence[Incarnation]:
        """List those whose lease is over."""
        async with self._connections.reading() as connection:
            return await self._processes(connection, PROCESS.until <= now())

    async def blame(self, dead: Sequence[Incarnation], /) -> None:
        """Count a crash for all that *dead* ones were at, once, whoever else finds them."""
        if not dead:
            return
        ids = [one.id for one in dead]
        async with self._connections.writing() as connection:
            # Whoever deletes the row has found it; another one that wanted to finds nothing.
            gone = (
                delete(process_table)
                .where(PROCESS.service == self._service, PROCESS.id.in_(ids))
                .returning(PROCESS.id)
            )
            found = (await connection.execute(gone)).scalars().all()
            flights = (
                delete(flight_table)
                .where(FLIGHT.service == self._service, FLIGHT.process.in_(found))
                .returning(FLIGHT.process, FLIGHT.events)
            )
            blamed: set[tuple[str, bytes]] = set()
            for process, events in await connection.execute(flights):
                blamed.update((process, event) for event in _apart(events))
            await self._count(connection, Counter(event for _, event in blamed))

    async def suspects(self) -> Mapping[bytes, int]:
        """Tell the crashes of every suspect."""
        query = select(SUSPECT.event, SUSPECT.crashes).where(SUSPECT.service == self._service)
        async with self._connections.reading() as connection:
            return dict((await connection.execute(query)).all())

    async def depart(
        self, own: Incarnation, flight: int, events: Sequence[bytes], landed: Sequence[int], /
    ) -> None:
        """Note what *own* is about to touch, and forget the flights that have *landed*."""
        of_own: dict[str, object] = {"service": self._service, "process": own.id}
        row = {**of_own, "flight": flight, "events": b"".join(events)}
        async with self._connections.stating(writes=True) as link:
            gone = landing.bind(link.dialect.name, [(number,) for number in landed])
            if link.dialect.name == "postgresql":
                await link.say(_departed_and_landed(), {**row, **gone})
                return
            if not landed:
                await link.say(_departed(), row)
                return
            await link.begin()
            await link.add(_landed("sqlite"), [{**of_own, **gone}])
            await link.say(_departed(), row)
            await committed(link, self._connections.url)

    async def land(self, own: Incarnation, flights: Sequence[int], /) -> None:
        """Forget flights all of whose events have ended."""
        async with self._connections.writing() as connection:
            await self._land(connection, own, flights)

    async def acquit(self, events: Sequence[bytes], /) -> None:
        """Forget suspects that have ended, or are in the dead letters."""
        acquitted = delete(suspect_table).where(
            SUSPECT.service == self._service, SUSPECT.event.in_(events)
        )
        async with self._connections.writing() as connection:
            await connection.execute(acquitted)

    async def leave(self, own: Incarnation, /) -> None:
        """Say that *own* ends of its own accord: nothing that it was at is suspect."""
        async with self._connections.writing() as connection:
            await connection.execute(
                delete(flight_table).where(
                    FLIGHT.service == self._service, FLIGHT.process == own.id
                )
            )
            await connection.execute(
                delete(process_table).where(PROCESS.service == self._service, PROCESS.id == own.id)
            )
            await connection.execute(
                delete(suspect_table).where(
                    SUSPECT.service == self._service, SUSPECT.at < now() - duration(OLD)
                )
            )

    async def _processes(
        self, connection: AsyncConnection, which: ColumnElement[bool]
    ) -> Sequence[Incarnation]:
        query = select(PROCESS.id, PROCESS.host, PROCESS.pid, PROCESS.started).where(
            PROCESS.service == self._service, which
        )
        return [
            Incarnation(id=identity, host=host, pid=pid, started=started)
            for identity, host, pid, started in (await connection.execute(query))
        ]

    async def _land(
        self, connection: AsyncConnection, own: Incarnation, flights: Sequence[int]
    ) -> None:
        if flights:
            await connection.execute(
                delete(flight_table).where(
                    FLIGHT.service == self._service,
                    FLIGHT.process == own.id,
                    FLIGHT.flight.in_(flights),
                )
            )

    async def _count(self, connection: AsyncConnection, crashes: Mapping[bytes, int]) -> None:
        """Write all at once: whoever starts meanwhile waits for it, and there may be thousands."""
        if not crashes:
            return
        dialect = connection.dialect.name
        row = (postgresql if dialect == "postgresql" else sqlite).insert(suspect_table)
        more = row.values(at=now())
        found = [
            {"service": self._service, "event": event, "crashes": number}
            for event, number in sorted(crashes.items())
        ]
        await connection.execute(
            more.on_conflict_do_update(
                index_elements=[SUSPECT.service, SUSPECT.event],
                set_={"crashes": SUSPECT.crashes + more.excluded.crashes, "at": now()},
            ),
            found,
        )


@cache
def _departed() -> Insert:
    """Write one flight."""
    return insert(flight_table).values(
        {column.name: bindparam(column.name) for column in flight_table.columns}
    )


@cache
def _departed_and_landed() -> Executable:
    """Do both in one statement, as PostgreSQL can."""
    return _departed().add_cte(_landed("postgresql").cte("gone"))


@cache
def _landed(dialect: str) -> Delete:
    """Delete those of one process that have landed."""
    numbers = select(landing.of(dialect).c.flight)
    return delete(flight_table).where(
        FLIGHT.service == bindparam("service"),
        FLIGHT.process == bindparam("process"),
        FLIGHT.flight.in_(numbers),
    )


def _apart(events: bytes) -> list[bytes]:
    return [events[start : start + SIZE] for start in range(0, len(events), SIZE)]

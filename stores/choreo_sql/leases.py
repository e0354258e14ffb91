"""Leases: claims held for a while by the database's clock, each under a higher fence."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cache

from sqlalchemy import BigInteger, Integer, and_, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable

from choreo.store.port import Lease, State
from choreo.store.rules import bearer
from choreo_sql.claiming import purpose_key, row_key
from choreo_sql.inbox import KEY, NUMBERS, inbox
from choreo_sql.metadata import Fingerprint, Name
from choreo_sql.moments import duration, now
from choreo_sql.rows import Rows
from choreo_sql.scopes import Scopes

ANY = -1
"""Stands for the fence of an idempotency key's row, which knows its bearer instead."""

held = Rows(
    "held",
    scope=Integer(),
    id=Name,
    source=Name,
    fingerprint=Fingerprint,
    fence=BigInteger(),
    span=BigInteger(),
)


async def renew(
    connection: AsyncConnection, scopes: Scopes, leases: Sequence[Lease], span: timedelta
) -> Sequence[bool]:
    """Let *leases* run out *span* from now; False for each that is another's by now."""
    values = sorted(row for lease in leases for row in _rows(lease, scopes, duration(span)))
    bound = held.bind(connection.dialect.name, values)
    kept = {tuple(key) for key in await connection.execute(_renew(connection.dialect.name), bound)}
    return [row_key(lease.claim.key, scopes) in kept for lease in leases]


async def release(connection: AsyncConnection, scopes: Scopes, lease: Lease) -> None:
    """Give *lease* back; nothing can be written under its fence any more."""
    values = sorted(_rows(lease, scopes, 0))
    dialect = connection.dialect.name
    await connection.execute(_release(dialect), held.bind(dialect, values))


def _rows(
    lease: Lease, scopes: Scopes, span: int
) -> Iterator[tuple[int, str, str, bytes, int, int]]:
    claim = lease.claim
    yield (*row_key(claim.key, scopes), claim.fingerprint, lease.fence, span)
    if claim.purpose is not None:
        yield (*purpose_key(claim, scopes), bearer(claim), ANY, span)


@cache
def _renew(dialect: str) -> Executable:
    rows = held.of(dialect)
    return (
        update(inbox)
        .values(until=now() + rows.c.span)
        .where(
            *(column == rows.c[column.name] for column in KEY),
            inbox.c.state == NUMBERS[State.CLAIMED],
            inbox.c.fingerprint == rows.c.fingerprint,
            or_(rows.c.fence == ANY, rows.c.fence == inbox.c.fence),
        )
        .returning(*KEY)
    )


@cache
def _release(dialect: str) -> Executable:
    rows = held.of(dialect)
    return (
        update(inbox)
        .values(state=NUMBERS[State.OPEN], owner=None, until=None, fence=inbox.c.fence + 1)
        .where(
            *(column == rows.c[column.name] for column in KEY),
            inbox.c.state == NUMBERS[State.CLAIMED],
            and_(
                inbox.c.fingerprint == rows.c.fingerprint,
                or_(rows.c.fence == ANY, rows.c.fence == inbox.c.fence),
            ),
        )
    )

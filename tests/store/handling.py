"""Events, and what a handler does with the transaction of one."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from choreo.store.outbox import Emission
from choreo.store.port import Claim, End, Verdict
from choreo_sql import SqlStore, SqlTransaction
from choreo_sql.ledger import SqlLedger

PAYLOAD = b"sixteen bytes to"
Handler = Callable[[SqlTransaction], Awaitable[object]]


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "payments"

    id: Mapped[str] = mapped_column(primary_key=True)


def claim(identity: str) -> Claim:
    """Make a claim to an event."""
    return Claim(key=(0, "urn:test", identity), fingerprint=PAYLOAD, at=datetime.now(UTC))


@asynccontextmanager
async def books(url: str) -> AsyncGenerator[tuple[SqlStore, SqlLedger]]:
    """Open a database with a table of payments, and the books of a service."""
    async with SqlStore(url) as store:
        async with store.connections.writing() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield store, await store.ledger("payments", ["charge"])


async def handle(
    ledger: SqlLedger, identity: str, handler: Handler, emitted: Sequence[Emission] = ()
) -> Verdict:
    """Do what the framework does with one event."""
    async with ledger.effect(claim(identity)) as effect:
        if effect.verdict is Verdict.WRITTEN:
            await handler(effect.transaction)
            return await effect.complete(End(claim=claim(identity), emitted=emitted))
        return effect.verdict


async def pay(transaction: SqlTransaction, identity: str = "paid") -> None:
    """Write a row."""
    await transaction.connection.execute(text("INSERT INTO payments VALUES (:i)"), {"i": identity})


async def tell(transaction: SqlTransaction, identity: str) -> Sequence[Sequence[Any]]:
    """Write a row by a text on the driver itself."""
    return await transaction.execute("INSERT INTO payments VALUES (:id)", {"id": identity})


async def payments(store: SqlStore) -> Sequence[str]:
    """Read the rows that were committed."""
    async with store.connections.reading() as connection:
        rows = await connection.execute(text("SELECT id FROM payments ORDER BY id"))
        return [row.id for row in rows]

"""Moments as whole microseconds since 1970, by the database's clock or by a service's."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, ScalarSelect, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class now(FunctionElement[int]):  # noqa: N801 -- reads like the SQL function it is
    """The moment at which the database evaluates it, which goes on within a transaction."""

    type = BigInteger()
    inherit_cache = True
    name = "choreo_now"


@compiles(now, "postgresql")
def _postgresql(_element: now, _compiler: SQLCompiler, **_: object) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(now, "sqlite")
def _sqlite(_element: now, _compiler: SQLCompiler, **_: object) -> str:
    # 2440587.5 is the Julian day of 1970; SQLite's own unixepoch('subsec') came with 3.42.
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


def instant() -> ScalarSelect[int]:
    """Ask for the moment once a statement, where an index is to be searched by it.

    PostgreSQL evaluates ``now`` for every row instead, and so looks through all of them.
    """
    return select(now()).scalar_subquery()


def micros(moment: datetime) -> int:
    """Count the microseconds from 1970 to an aware *moment*."""
    return (moment - EPOCH) // MICROSECOND


def duration(span: timedelta) -> int:
    """Count the microseconds of *span*."""
    return span // MICROSECOND


def moment(microseconds: int) -> datetime:
    """Read what ``micros`` wrote."""
    return EPOCH + timedelta(microseconds=microseconds)

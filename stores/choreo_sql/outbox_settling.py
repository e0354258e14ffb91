"""Writing down what became of rows that a relay had read, fenced by the shards it still holds."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache

from sqlalchemy import (
    BigInteger,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Update,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert, ReturningDelete

from choreo.store.outbox import Refusal, Row, Settled
from choreo_sql.link import Say
from choreo_sql.moments import duration as microseconds
from choreo_sql.moments import now
from choreo_sql.outbox_tables import (
    ASIDE,
    LANE,
    ROW,
    SHARD,
    WAITING,
    lanes,
    rows,
)
from choreo_sql.rows import PLACE, Rows

ids = Rows("ids", id=BigInteger())
refusals = Rows(
    "refusals", id=BigInteger(), state=SmallInteger(), attempts=Integer(), reason=Text()
)
waits = Rows("waits", lane=LargeBinary(16), shard=SmallInteger(), pause=BigInteger())
LONGEST_REASON = 2_000
"""Characters kept of what the broker said."""


async def accept(say: Say, dialect: str, own: Mapping[str, object], accepted: Sequence[Row]) -> int:
    """Delete rows of shards that are *own*, a service's and a holder's; return how many."""
    bound = ids.bind(dialect, [(row.id,) for row in accepted])
    gone = await say(_delete_held(dialect), {**bound, **own})
    return sum(1 for _ in gone)


async def settle(
    connection: AsyncConnection, service: int, holder: str, settled: Settled
) -> Collection[int]:
    """Write *settled*, as ``Outbox.settle``, with the holder's shards locked against others."""
    own = (SHARD.service == service) & (SHARD.owner == holder)
    held = set(
        (await connection.scalars(select(SHARD.shard).where(own).with_for_update(read=True))).all()
    )
    accepted = [row for row in settled.accepted if row.shard in held]
    refused = [one for one in settled.refused if one.row.shard in held]
    behind = [row for row in settled.behind if row.shard in held]
    if accepted:
        mine = {"service": service, "holder": holder}
        await accept(connection.execute, connection.dialect.name, mine, accepted)
    if refused:
        await _refuse(connection, refused)
    if behind:
        dialect = connection.dialect.name
        await connection.execute(_wait(dialect), ids.bind(dialect, [(row.id,) for row in behind]))
        # Whoever waits must wait in a lane that is looked at, were it dropped meanwhile.
        await _hold(connection, service, {row.lane: (row.shard, 0) for row in behind}, keep=True)
    holding = {
        one.row.lane: (one.row.shard, None if one.again is None else microseconds(one.again))
        for one in refused
        if not one.aside
    }
    if holding:
        await _hold(connection, service, holding, keep=False)
    freed = {row.lane for row in accepted if row.waiting}
    freed |= {one.row.lane for one in refused if one.aside}
    await free(connection, service, freed - holding.keys())
    everything = (*settled.accepted, *(one.row for one in settled.refused), *settled.behind)
    return {row.shard for row in everything} - held


async def free(connection: AsyncConnection, service: int, names: Collection[bytes]) -> None:
    """Let *names* go on where none of their rows waits any more."""
    if not names:
        return
    mine = (ROW.service == service) & (ROW.lane == LANE.lane) & (ROW.state == WAITING)
    left = select(ROW.id).where(mine).exists()
    await connection.execute(
        delete(lanes).where(LANE.service == service, LANE.lane.in_(sorted(names)), ~left)
    )


async def _refuse(connection: AsyncConnection, refused: Sequence[Refusal]) -> None:
    dialect = connection.dialect.name
    packed = [
        (
            one.row.id,
            ASIDE if one.aside else WAITING,
            one.attempts,
            one.reason[:LONGEST_REASON].replace("\0", ""),
        )
        for one in refused
    ]
    await connection.execute(_mark(dialect), refusals.bind(dialect, packed))


async def _hold(
    connection: AsyncConnection,
    service: int,
    names: dict[bytes, tuple[int, int | None]],
    *,
    keep: bool,
) -> None:
    """Have lanes wait, for so many microseconds or for an operator, unless they are kept as is."""
    dialect = connection.dialect.name
    packed = [(lane, shard, pause) for lane, (shard, pause) in sorted(names.items())]
    statement = _lanes(dialect, keep=keep)
    await connection.execute(statement, {**waits.bind(dialect, packed), "service": service})


@cache
def _delete_held(dialect: str) -> ReturningDelete[int]:
    held = (
        select(SHARD.shard)
        .where(
            SHARD.service == bindparam("service"),
            SHARD.owner == bindparam("holder"),
            SHARD.shard == ROW.shard,
        )
        .exists()
    )
    chosen = ROW.id.in_(select(ids.of(dialect).c.id))
    return delete(rows).where(chosen, held).returning(ROW.id)


@cache
def _wait(dialect: str) -> Update:
    return update(rows).where(ROW.id.in_(select(ids.of(dialect).c.id))).values(state=WAITING)


@cache
def _mark(dialect: str) -> Update:
    source = refusals.of(dialect)
    return (
        update(rows)
        .where(ROW.id == source.c.id)
        .values(state=source.c.state, attempts=source.c.attempts, reason=source.c.reason)
    )


@cache
def _lanes(dialect: str, *, keep: bool) -> Insert:
    source = waits.of(dialect)
    upsert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    chosen = select(
        bindparam("service", type_=Integer()),
        source.c.lane,
        source.c.shard,
        now() + source.c.pause,
    ).where(source.c[PLACE] >= 0)
    inserting = upsert(lanes).from_select(["service", "lane", "shard", "due"], chosen)
    if keep:
        return inserting.on_conflict_do_nothing()
    return inserting.on_conflict_do_update(
        index_elements=[LANE.service, LANE.lane], set_={"due": inserting.excluded.due}
    )

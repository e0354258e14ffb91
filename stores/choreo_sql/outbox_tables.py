"""The tables of the outbox: rows, timers, lanes that wait, shards with their holders, streams."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from choreo_sql.metadata import Fingerprint, Identity, Name, metadata

READY, WAITING, ASIDE = range(3)
"""States of a row, see ``choreo.store.outbox``."""

# A queue's table is all dead rows in no time: have them removed when there are few, at once.
_QUEUE = {
    "autovacuum_vacuum_scale_factor": 0.0,
    "autovacuum_vacuum_threshold": 5000,
    "autovacuum_vacuum_cost_delay": 0,
}

rows = Table(
    "choreo_outbox",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("service", Integer, nullable=False),
    Column("shard", SmallInteger, nullable=False),
    Column("lane", Fingerprint, nullable=False),
    Column("identity", Name, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", LargeBinary),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary),
    Column("retain", Boolean, nullable=False),
    Column("number", BigInteger),
    Column("epoch", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("reason", Text),
    UniqueConstraint("service", "identity"),
    # An id that was deleted is never given again: what settles it late must not meet another row.
    sqlite_autoincrement=True,
    postgresql_with=_QUEUE,
)
timers = Table(
    "choreo_outbox_timer",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("service", Integer, nullable=False),
    Column("shard", SmallInteger, nullable=False),
    Column("lane", Fingerprint, nullable=False),
    Column("identity", Name, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", LargeBinary),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary),
    Column("retain", Boolean, nullable=False),
    # Its number is that of the moment at which it is due, and not known before.
    Column("stream", Name),
    Column("due", BigInteger, nullable=False),
    UniqueConstraint("service", "identity"),
    sqlite_autoincrement=True,
    postgresql_with=_QUEUE,
)
lanes = Table(
    "choreo_outbox_lane",
    metadata,
    Column("service", Integer, primary_key=True, autoincrement=False),
    Column("lane", Fingerprint, primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    # Null: it waits for an operator.
    Column("due", BigInteger),
)
shards = Table(
    "choreo_outbox_shard",
    metadata,
    Column("service", Integer, primary_key=True, autoincrement=False),
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("owner", Name),
    Column("until", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
)
relays = Table(
    "choreo_outbox_relay",
    metadata,
    Column("service", Integer, primary_key=True, autoincrement=False),
    Column("holder", Name, primary_key=True),
    Column("until", BigInteger, nullable=False),
)
streams = Table(
    "choreo_outbox_stream",
    metadata,
    Column("service", Integer, primary_key=True, autoincrement=False),
    Column("stream", Name, primary_key=True),
    # The last number given.
    Column("number", BigInteger, nullable=False),
    # When the stream began here, in microseconds: in a store made anew it is a later one.
    Column("epoch", BigInteger, nullable=False),
)

ROW, LANE, SHARD, RELAY, STREAM = rows.c, lanes.c, shards.c, relays.c, streams.c
TIMER = timers.c


def _partial(name: str, *columns: Column[int], where: str) -> Index:
    condition = text(where)
    return Index(name, *columns, postgresql_where=condition, sqlite_where=condition)


_partial("choreo_outbox_ready", ROW.service, ROW.shard, ROW.id, where="state = 0")
_partial("choreo_outbox_waiting", ROW.service, ROW.lane, ROW.id, where="state = 1")
_partial("choreo_outbox_refused", ROW.service, ROW.id, where="attempts > 0")
Index("choreo_outbox_due", LANE.service, LANE.shard, LANE.due)
Index("choreo_outbox_timer_due", TIMER.service, TIMER.shard, TIMER.due, TIMER.id)

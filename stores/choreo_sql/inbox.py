"""Which events each handler has ended, is at, or has failed at: one row for each.

A business idempotency key is one more row, whose source is empty and whose fingerprint names the
event that used it; it stands and falls with the row of that event.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, text

from choreo.store.port import State
from choreo_sql.metadata import Fingerprint, Name, metadata
from choreo_sql.rows import Rows

STATES = (State.CLAIMED, State.OPEN, State.DONE, State.DEAD)
"""States by the number under which they are kept."""
NUMBERS = {state: number for number, state in enumerate(STATES)}
PURPOSE = ""
"""Source of an idempotency key's row; an event's is never empty, see ``compact``."""

inbox = Table(
    "choreo_inbox",
    metadata,
    # Ids that grow with time lie next to each other, so that inserting touches few pages.
    Column("scope", Integer, primary_key=True, autoincrement=False),
    Column("id", Name, primary_key=True),
    Column("source", Name, primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    Column("fingerprint", Fingerprint, nullable=False),
    Column("ended", BigInteger),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("crashes", Integer, nullable=False, server_default=text("0")),
    Column("first_failed", BigInteger),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("owner", Name),
    Column("until", BigInteger),
    sqlite_with_rowid=False,
)
Index(
    "choreo_inbox_ended",
    inbox.c.scope,
    inbox.c.ended,
    postgresql_where=inbox.c.ended.is_not(None),
    sqlite_where=inbox.c.ended.is_not(None),
)

KEY = (inbox.c.scope, inbox.c.id, inbox.c.source)
RowKey = tuple[int, str, str]
"""Scope, id and source as they are kept."""


def standing(state: int, *, live: bool) -> State:
    """Read a row's state: a claim whose lease ran out is an open event again."""
    kept = STATES[state]
    return State.OPEN if kept is State.CLAIMED and not live else kept


keys = Rows("keys", scope=Integer(), id=Name, source=Name)

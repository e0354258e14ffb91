"""Which events each handler has ended, is at, or has failed at: one row for each."""

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, text

from choreo_sql.metadata import Fingerprint, Name, metadata

CLAIMED, OPEN, DONE, DEAD = range(4)
"""How ``State`` is kept."""

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

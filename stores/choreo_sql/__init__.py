"""One store on SQLAlchemy, for SQLite (embedded) and PostgreSQL.

How the package is laid out, and how a part is added to it:

- *metadata.py* holds the one ``MetaData``. A part (*inbox*, *outbox*, *streams*, *lot*) defines its
  tables in its own module, named ``choreo_…``; *schema.py* imports every part and is the only one
  that creates or migrates them.
- *connections.py* lends connections: ``reading()`` for queries, ``writing()`` for one short
  transaction of the store's own, which commits on leaving, ``handling()`` a link for a handler's,
  and on the driver, each statement by itself, ``asking()`` one for what the relay says in every
  turn, and ``stating()`` one for what the books say for every event or batch. What a driver raises
  within ``reading``, ``writing`` and ``stating`` comes out as StoreError. *links.py* is the
  only other module that begins, commits or rolls back; *keeping.py* keeps what is lent open.
- A handler's transaction is *effect.py*'s, or shared with others: *sharing.py* says who shares one,
  *run.py* takes it from begin to commit, *turns.py* lets one in after the other, and *member.py* is
  one event's part of it. Ends without one are written together by *finishing.py*, and on SQLite
  *riding.py* has what is laid behind parked events written with them.
- Statements are SQLAlchemy Core, built once as module constants where they can be, and executed
  with ``await connection.execute(statement, parameters)``. Many rows go as *one* parameter set
  through *rows.py*, so that the text of a statement, and with it its plan, never depends on how
  many there are.
- Moments are whole microseconds since 1970 (``BigInteger``), written by *moments.py*: ``now()`` is
  the database's clock (I6), ``micros(datetime)`` the service's. Ids that nobody bounds go through
  ``compact`` of *texts.py*: what is long, or no text for a database, is kept as its hash.
- *scopes.py* numbers services and handlers: ``Scopes.service`` and ``Scopes.handlers[index]`` are
  the small integers under which rows are kept.

The seams of an end (*finishing.py* calls them within the transaction that writes the inbox rows):

- ``outbox.insert(connection, scopes, emissions)`` after the inbox,
- ``streams.advance(connection, scopes, advances)`` tells for each whether it stood as expected, and
- ``lot.leave(connection, scopes, places)`` tells for each whether it was still there to leave.

Where one of the latter says no, the transaction is rolled back and everything else written again
without that end, so neither must undo anything.
"""

from choreo_sql.settings import SqlSettings
from choreo_sql.store import SqlStore
from choreo_sql.transaction import SqlTransaction

__all__ = ["SqlSettings", "SqlStore", "SqlTransaction"]

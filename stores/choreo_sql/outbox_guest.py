"""Adding to an outbox within a transaction of an application's own."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import URL, Connection, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from choreo.errors import ConfigurationError, SchemaError
from choreo.store.outbox import Emission
from choreo_sql.failures import code
from choreo_sql.outbox import put
from choreo_sql.scopes import services
from choreo_sql.settings import shown

UNDEFINED_TABLE = "42P01"
"""SQLSTATE of a statement over a table that does not exist."""


def lodge(
    url: URL,
    place: object,
    service: str,
    emissions: Sequence[Emission],
    committed: Callable[[object], None] | None,
) -> None:
    """Insert *emissions* by way of *place*; raise ConfigurationError if that is not the store's."""
    if isinstance(place, Session):
        connection = place.connection()
    elif isinstance(place, Connection):
        connection = place
    else:
        raise ConfigurationError(
            f"{type(place).__name__} is no Session or Connection of SQLAlchemy: give the one in "
            "whose transaction the events are to be emitted, and one that is async to add()"
        )
    _check(url, connection.engine.url)
    if committed is not None:
        _tell(place, committed)
    put(connection, _known(url, connection, service), emissions)


def _check(store: URL, used: URL) -> None:
    """Refuse a database that no relay of the service looks into."""
    same = store.get_backend_name() == used.get_backend_name()
    if same and store.get_backend_name() == "sqlite":
        same = _file(store) == _file(used)
    # Servers have many names, and poolers lend databases others: those are not compared.
    if not same:
        raise ConfigurationError(
            f"the session is one of {shown(used)}, and the service's store is {shown(store)}: "
            "events can only be added where the store is"
        )


def _file(url: URL) -> Path | None:
    return None if not url.database or url.database == ":memory:" else Path(url.database).resolve()


def _known(url: URL, connection: Connection, service: str) -> int:
    """Look up the number of *service*; raise SchemaError where there are no tables at all."""
    try:
        return _number(connection, service)
    except DBAPIError as error:
        if code(error) != UNDEFINED_TABLE and "no such table" not in str(error.orig):
            raise
        where = shown(url)
        text = f"store {where} has no tables yet: choreo store init --store {where}"
        raise SchemaError(text) from error


def _number(connection: Connection, service: str) -> int:
    """Look up the number of *service*, which may never have run yet."""
    query = select(services.c.number).where(services.c.name == service)
    found = connection.execute(query).scalar()
    if found is None:
        upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        # Another session may be doing the same, and must fail as little as this one.
        connection.execute(upsert(services).values(name=service).on_conflict_do_nothing())
        found = connection.execute(query).scalar_one()
    return int(found)


def _tell(place: Session | Connection, committed: Callable[[object], None]) -> None:
    """Call *committed*, with the place, after every commit of it from now on."""
    name = "after_commit" if isinstance(place, Session) else "commit"
    if not event.contains(place, name, committed):
        event.listen(place, name, committed)

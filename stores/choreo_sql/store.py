"""SqlStore: one database, SQLite or PostgreSQL."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from choreo.errors import StoreError
from choreo.store.outbox import Emission
from choreo.store.port import Store
from choreo.store.schema import Standing
from choreo_sql import schema
from choreo_sql.connections import Connections, connections
from choreo_sql.failures import absent
from choreo_sql.ledger import SqlLedger
from choreo_sql.lines import SqlLot, open_lot
from choreo_sql.outbox_desk import SqlDesk, open_desk
from choreo_sql.outbox_guest import lodge
from choreo_sql.scopes import number
from choreo_sql.settings import SqlSettings, shown
from choreo_sql.transaction import SqlTransaction


class SqlStore:
    """One database: ``sqlite:///file.db``, or ``postgresql://user:password@host/database``."""

    durable = True
    transaction = SqlTransaction

    def __init__(self, url: str, settings: SqlSettings | None = None) -> None:
        """Take options from the URL's query, then from *settings*; nothing is opened yet."""
        self._url, self.settings = SqlSettings.parse(url, settings)
        self._connections: Connections | None = None
        self._ledgers: list[SqlLedger] = []

    @property
    def url(self) -> str:
        """Where it is, without password and options."""
        return shown(self._url)

    def __repr__(self) -> str:
        """Name it, without its password."""
        return f"SqlStore({self.url!r})"

    @property
    def connections(self) -> Connections:
        """Its connections; raise StoreError if it is not open."""
        if self._connections is None:
            raise StoreError(f"store {self.url} is not open: use it within async with")
        return self._connections

    async def __aenter__(self) -> Self:
        """Connect; raise StoreError if it cannot be reached, SchemaError if it must be migrated."""
        if self._connections is not None:
            raise StoreError(f"store {self.url} is open already: make another SqlStore")
        opened = connections(self._url, self.settings)
        try:
            await opened.reach()
            standing = await schema.look(opened)
            if standing.found is None and self._creates:
                standing = await schema.create(opened)
            self.refuse(standing)
        except BaseException:
            await opened.close()
            raise
        self._connections = opened
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Close all connections."""
        for ledger in self._ledgers:
            await ledger.close()
        self._ledgers.clear()
        opened, self._connections = self._connections, None
        if opened is not None:
            await opened.close()

    async def standing(self) -> Standing:
        """Find out which tables there are."""
        async with self._apart() as apart:
            return await schema.look(apart)

    async def init(self) -> Standing:
        """Make the tables that are missing; leave those that are there as they are."""
        async with self._apart() as apart:
            return await schema.create(apart)

    async def upgrade(self) -> Standing:
        """Make the tables, or bring older ones to this version; SchemaError for newer ones."""
        async with self._apart() as apart:
            return await schema.upgrade(apart)

    def refuse(self, standing: Standing, /) -> None:
        """Raise SchemaError, which says what to do, unless a service can work with the tables."""
        schema.check(self._url, standing)

    async def ledger(self, service: str, handlers: Sequence[str], /) -> SqlLedger:
        """Open the books of *service*, whose handlers are numbered in the order given."""
        async with self.connections.writing() as connection:
            scopes = await number(connection, service, handlers)
        opened = SqlLedger(self.connections, scopes)
        self._ledgers.append(opened)
        return opened

    async def desk(self, service: str, /) -> SqlDesk:
        """Open the desk of *service*; raise ConfigurationError for one that never ran here."""
        return await open_desk(self.connections, service)

    async def lot(self, service: str, /) -> SqlLot:
        """Open the lot of *service*; raise ConfigurationError for one that never ran here."""
        return await open_lot(self.connections, service)

    def lodge(
        self,
        place: object,
        service: str,
        emissions: Sequence[Emission],
        committed: Callable[[object], None] | None,
        /,
    ) -> None:
        """Add *emissions* to the outbox of *service* within a transaction of SQLAlchemy's."""
        lodge(self._url, place, service, emissions, committed)

    def unavailable(self, error: BaseException, /) -> bool:
        """Say whether *error*, raised by a handler, is the store's own absence and no mistake."""
        return absent(error)

    @asynccontextmanager
    async def _apart(self) -> AsyncGenerator[Connections]:
        """Connect for what is done to a store that need not be open."""
        apart = connections(self._url, self.settings)
        try:
            await apart.reach()
            yield apart
        finally:
            await apart.close()

    @property
    def _creates(self) -> bool:
        create = self.settings.create
        return self._url.get_backend_name() == "sqlite" if create is None else create


_: type[Store[SqlTransaction]] = SqlStore

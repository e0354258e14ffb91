"""What the links of both databases have in common: a connection, and handlers' above it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection, Dialect, RootTransaction
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable

from choreo_sql.compiled import compiled, compiled_text
from choreo_sql.failures import of_driver, present, told
from choreo_sql.link import Fetched, Rows, Statement
from choreo_sql.shared import Own, Shared


class Carried(ABC):
    """A link over a connection of the pool."""

    def __init__(self, carrier: AsyncConnection) -> None:
        self.carrier = carrier
        self.dialect: Dialect = carrier.dialect
        assert carrier.sync_connection is not None  # noqa: S101 -- it is open
        self._pooled = carrier.sync_connection.connection
        self.info: dict[Any, Any] = self._pooled.info
        self.driver: Any = self._pooled.driver_connection
        """The driver's connection: to ask the pool for it takes three calls each time."""
        self._own: AsyncConnection | None = None
        self._broken = False
        self._marked = False
        """There is a savepoint."""

    @property
    def sound(self) -> bool:
        """Say whether it is of any further use."""
        return not self._broken and self._pooled.is_valid

    async def drop(self) -> None:
        """Throw the driver's connection away."""
        if self._pooled.is_valid:
            await self.carrier.invalidate()

    def opened(self) -> tuple[AsyncConnection, RootTransaction]:
        """Make a handler's connection, within the transaction that was begun, and that."""
        return self._over(Shared(self._pooled))

    @property
    def own(self) -> AsyncConnection:
        """What choreo itself says through SQLAlchemy, within whichever transaction was begun."""
        if self._own is None:
            self._own, _ = self._over(Own(self._pooled))
        return self._own

    def _over(self, shared: Any) -> tuple[AsyncConnection, RootTransaction]:  # noqa: ANN401 -- as SQLAlchemy has it
        connection = Connection(self.carrier.sync_engine, connection=shared)
        root = connection.begin()
        return AsyncConnection(self.carrier.engine, connection), root

    async def _asked(self, answer: Awaitable[Any]) -> Any:  # noqa: ANN401 -- the driver's own
        """Wait for the driver; whoever is cancelled does not know what it is at."""
        try:
            return await answer
        except asyncio.CancelledError:
            self._broken = True
            raise

    async def say(self, statement: Executable, parameters: Mapping[str, object], /) -> Rows:
        """Execute a statement of choreo's own, and return its rows."""
        written = compiled(statement, self.dialect.name)
        return await self._fetched(written.text, written.given(parameters))

    def written(self, text: str, parameters: Mapping[str, object], /) -> Statement:
        """Write a handler's text down; raise ValueError for one that lacks a value."""
        written = compiled_text(text, self.dialect.name)
        try:
            return written.text, written.given(parameters)
        except KeyError as missing:
            raise ValueError(f"no value for :{missing.args[0]} is given to {text!r}") from None

    async def ask(self, statement: Statement, /) -> Fetched:
        """Execute what a handler says, and return its rows; StoreError if nobody answers."""
        try:
            return await self._fetched(*statement)
        except Exception as error:
            self._tell(error)
            raise

    async def ask_all(self, statements: Sequence[Statement], /) -> None:
        """Execute what handlers say, one after the other, with as few turns as there can be."""
        try:
            await self._done(statements)
        except Exception as error:
            self._tell(error)
            raise

    def _tell(self, error: Exception) -> None:
        """Raise StoreError where *error*, a driver's, tells of a database that does not answer."""
        if of_driver(error) and not (self.sound and present(error)):
            raise told(self.carrier.engine.url, error) from error

    @abstractmethod
    async def _fetched(self, text: str, given: Sequence[object]) -> Fetched:
        """Execute *text* on the driver, and return its rows."""

    @abstractmethod
    async def _done(self, statements: Sequence[Statement]) -> None:
        """Execute *statements* on the driver, one after the other."""


def close(connection: AsyncConnection) -> None:
    """Close what ``opened`` made: nobody executes anything on it any more."""
    if connection.sync_connection is not None:
        connection.sync_connection.close()

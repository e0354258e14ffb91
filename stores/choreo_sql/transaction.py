"""What a handler gets of a SQL store: the transaction of its own event."""

from sqlalchemy.ext.asyncio import AsyncConnection


class SqlTransaction:
    """The transaction in which an event's effect is written, whole or not at all."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @property
    def connection(self) -> AsyncConnection:
        """The very connection on which choreo writes too; committing is choreo's."""
        return self._connection

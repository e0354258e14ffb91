"""Sessions of frozen processes that PostgreSQL takes for busy: ended by whoever waits for them.

Theory of operation.  A session that is silent between two statements is ended by the server itself
(``idle_in_transaction_session_timeout``).  But the driver sends a statement that is new to it in
two parts, and between parsing and execution the server waits without any limit, its state
``active`` all the while; a process that is frozen just there keeps its locks until it is thawed or
its machine is gone.  So who has waited for a lock in vain looks for such sessions of choreo's own
and ends them, after the times that hold for silent ones.
"""

import asyncio
import logging
import math

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Float

from choreo_sql.settings import SqlSettings

logger = logging.getLogger(__name__)

BOOKS = "choreo"
HANDLERS = "choreo handlers"
"""Names under which the server knows the store's own sessions, and those of handlers."""
IN_VAIN = ("55P03", "57014")
"""What a statement ends with that waited too long for a lock, or was given no more time."""
END = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user"
    " AND application_name = :name AND state = 'active' AND wait_event = 'ClientRead'"
    " AND clock_timestamp() - state_change > make_interval(secs => :silent)"
).bindparams(bindparam("silent", type_=Float))


class FrozenSessions:
    """The look for such sessions, at most one per timeout."""

    def __init__(self, settings: SqlSettings) -> None:
        self._timeout = settings.timeout.total_seconds()
        self._limits = {BOOKS: self._timeout, HANDLERS: settings.idle.total_seconds()}
        self._looked = -math.inf

    def due(self) -> bool:
        """Say whether to look now, and remember that somebody does."""
        now = asyncio.get_running_loop().time()
        due = now - self._looked >= self._timeout
        if due:
            self._looked = now
        return due

    async def end(self, connection: AsyncConnection) -> None:
        """End those that have been silent for too long; raises what the database raises."""
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        ended = 0
        for name, silent in self._limits.items():
            found = await alone.execute(END, {"name": name, "silent": silent})
            ended += len(found.all())
        if ended:
            logger.warning("a frozen process held locks: its sessions end", extra={"ended": ended})

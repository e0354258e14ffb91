"""Events laid behind parked ones in a transaction of SQLite's in which others end.

Theory of operation.  SQLite has one writer, and each of its transactions waits for the disk.  While
ends are being written there is one to come that waits anyway: what only is to be laid behind a
parked event rides in that.  Nobody is told before the commit.  Who cannot be laid so plainly has
written nothing, and goes by itself; so do all, if something fails in the transaction or no other
one comes, and what they were in is written without them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from choreo.store.lot import Parking
from choreo_sql import laying
from choreo_sql.links import SqliteLink
from choreo_sql.scopes import Scopes


@dataclass(slots=True, eq=False)
class Rider:
    """Events of one line that wait, or ride."""

    written: Sequence[Mapping[str, object]]
    answer: asyncio.Future[bool]
    laid: bool = False

    def tell(self, *, committed: bool) -> None:
        """Say how it went."""
        if not self.answer.done():
            self.answer.set_result(committed and self.laid)


class Riding:
    """Those who wait to ride, and those who do."""

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._waiting: list[Rider] = []
        self._aboard: list[Rider] = []
        self.coming = False
        """Ends are being written: whoever waits is taken along, or told that it is not."""

    async def ride(self, events: Sequence[Parking]) -> bool:
        """Say whether *events* were laid; if not, some of them may have been, the first ones."""
        if not self.coming or not all(map(laying.plain, events)):
            return False
        written = [laying.write(self._scopes, event) for event in events]
        rider = Rider(written, asyncio.get_running_loop().create_future())
        self._waiting.append(rider)
        return await rider.answer

    async def take_along(self, connection: AsyncConnection) -> None:
        """Lay what waits, in the transaction of *connection*."""
        self._aboard, self._waiting = self._waiting, []
        if self._aboard:
            link = SqliteLink(connection)
            for rider in self._aboard:
                if not rider.answer.done():
                    rider.laid = await laying.lay_plain(link, rider.written)

    def committed(self) -> None:
        """Tell those aboard how it went."""
        aboard, self._aboard = self._aboard, []
        for rider in aboard:
            rider.tell(committed=True)

    def put_out(self) -> bool:
        """Have those aboard go by themselves; say whether there were any."""
        aboard, self._aboard = self._aboard, []
        for rider in aboard:
            rider.tell(committed=False)
        return bool(aboard)

    def end(self) -> None:
        """Take nobody along any more, as there are no ends to write."""
        self.coming = False
        self._aboard += self._waiting
        self._waiting = []
        self.put_out()

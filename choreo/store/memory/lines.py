"""The lines of the parking lot in memory, and the part of an end that leaves one."""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from choreo.clock import Clock
from choreo.store.lot import Parking, Ticket
from choreo.store.memory.books import Scope
from choreo.store.memory.streams import StreamRows
from choreo.store.port import End, Verdict

Entry = tuple[int, str, Parking]
"""Place, handler, and what is parked."""


@dataclass(slots=True)
class Row:
    """One line."""

    handler: str
    since: datetime
    until: datetime
    due: datetime | None
    note: str
    numbered: bool = False
    fence: int = 0
    attempts: int = 0
    calls: int = 0
    heard: int = 0
    released: bool = False
    """Let go on past its gap, where it is numbered; doomed, where it is not."""
    entries: list[Entry] = field(default_factory=list[Entry])
    """In order."""

    @property
    def called(self) -> bool:
        """Say whether somebody has called it and was not heard."""
        return self.calls != self.heard


class LotRows:
    """The lines in one memory store: the part of an end that takes an event out of its line."""

    def __init__(self, streams: StreamRows, clock: Clock) -> None:
        self.streams = streams
        self.clock = clock
        self.lines: dict[tuple[str, bytes], Row] = {}
        self.places = count(1)

    def refuse(self, scope: Scope, end: End, /) -> Verdict | None:
        """Say if the place that *end* leaves is not there, or not held, any more."""
        if end.parked is None or self.held(scope, end.parked) is not None:
            return None
        return Verdict.MOVED

    def write(self, scope: Scope, end: End, /) -> None:
        """Take the event of *end* out."""
        if end.parked is not None:
            self.leave(scope, end.parked)

    def leave(self, scope: Scope, ticket: Ticket) -> bool:
        """Take an event out; False if it is not there, or not held."""
        found = self.held(scope, ticket)
        if found is None:
            return False
        key, row = found
        row.entries = [entry for entry in row.entries if entry[0] != ticket.place]
        row.attempts, row.note = 0, ""
        if not row.entries:
            del self.lines[key]
        return True

    def held(self, scope: Scope, ticket: Ticket) -> tuple[tuple[str, bytes], Row] | None:
        """Find the line in which a ticket's place is, and is held."""
        for key, row in self.lines.items():
            if key[0] == scope.service and any(entry[0] == ticket.place for entry in row.entries):
                return (key, row) if row.fence == ticket.fence else None
        return None

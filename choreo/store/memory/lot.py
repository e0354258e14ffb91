"""The parking lot in memory."""

from bisect import insort
from collections.abc import Iterator, Sequence
from datetime import timedelta

from choreo.errors import IdConflict
from choreo.store.lot import Laid, Line, Parked, Parking, Ticket, Waiting, key_of
from choreo.store.memory.books import RowKey, Scope
from choreo.store.memory.lines import Entry, LotRows, Row
from choreo.store.memory.streams import place
from choreo.store.streams import Advance, StreamKey


class MemoryLot:
    """The lot of one service."""

    def __init__(self, rows: LotRows, scope: Scope) -> None:
        self._rows = rows
        self._scope = scope

    async def park(
        self, head: Parking, behind: Sequence[Parking], due: timedelta | None, /
    ) -> bool:
        """Open the line of *head*, due after a while or held; lay *behind* into it, in order."""
        events = (head, *behind)
        if not self._fit(events):
            return False
        now = self._rows.clock.now()
        key = (self._scope.service, head.line)
        if key not in self._rows.lines:
            handler = self._scope.handlers[head.handler]
            begin = None if due is None else now + due
            numbered = head.number is not None
            self._rows.lines[key] = Row(handler, now, now, begin, head.note, numbered)
        laid = [self._lay(event) for event in events]
        if not self._rows.lines[key].entries:
            del self._rows.lines[key]
        if laid[0] is Laid.CONFLICT:
            raise IdConflict("another payload is parked under the event's id")
        return True

    async def append(self, events: Sequence[Parking], /) -> Sequence[Laid]:
        """Lay events behind what waits in their lines, in order; tell what became of each."""
        return [
            self._lay(event)
            if (self._scope.service, event.line) in self._rows.lines and self._fit((event,))
            else Laid.MOVED
            for event in events
        ]

    async def open(self, lines: Sequence[bytes], /) -> frozenset[bytes]:
        """Tell which of *lines* are open."""
        return frozenset(line for line in lines if (self._scope.service, line) in self._rows.lines)

    async def take(self, limit: int, lease: timedelta, /) -> Sequence[Line]:
        """Take over at most *limit* lines that are due or called and nobody's, oldest first."""
        now = self._rows.clock.now()
        free = [
            (row.due or now, line, row)
            for line, row in self._known()
            if row.until <= now and (row.called or (row.due is not None and row.due <= now))
        ]
        taken: list[Line] = []
        for _, line, row in sorted(free, key=lambda found: found[:2])[:limit]:
            row.fence += 1
            row.until = now + lease
            found = Line(
                line=line,
                fence=row.fence,
                attempts=row.attempts,
                numbered=row.numbered,
                rest=None if row.due is None else max(row.due - now, timedelta(0)),
                released=row.released and row.numbered,
                doomed=row.released and not row.numbered,
                calls=row.calls,
            )
            taken.append(found)
        return taken

    async def first(self, line: Line, limit: int, /) -> Sequence[Parked]:
        """List what comes first in a line; nothing if it is another's by now, or gone."""
        row = self._held(line)
        return [
            Parked(
                ticket=Ticket(place, line.fence),
                handler=self._number(handler),
                generation=event.generation,
                delivery=event.delivery,
            )
            for place, handler, event in ([] if row is None else row.entries[:limit])
        ]

    async def renew(self, lines: Sequence[Line], lease: timedelta, /) -> Sequence[bool]:
        """Prolong leases; False for each that is another's by now, or gone."""
        rows = [self._held(line) for line in lines]
        for row in rows:
            if row is not None:
                row.until = self._rows.clock.now() + lease
        return [row is not None for row in rows]

    async def leave(self, ticket: Ticket, /) -> bool:
        """Take an event out that no end takes out; False if it is not there, or not held."""
        return self._rows.leave(self._scope, ticket)

    async def put_off(self, line: Line, due: timedelta | None, note: str, /) -> bool:
        """Give a line back whose first event failed once more, due after a while or held."""
        attempts = 0 if (row := self._held(line)) is None else row.attempts
        return self._give_back(line, due, note, attempts + 1)

    async def wait(self, line: Line, due: timedelta | None, note: str, /) -> bool:
        """Give a numbered line back that waits for something new."""
        return self._give_back(line, due, note, 0)

    async def heard(self, line: Line, /) -> None:
        """Give a numbered line back as it is: nothing came of what called it."""
        row = self._held(line)
        if row is not None:
            row.heard = line.calls
        await self.give_back(line)

    async def doom(self, line: Line, /) -> bool:
        """Have all of a line go to the dead letters; False if it is another's by now."""
        row = self._held(line)
        if row is not None:
            row.released = True
        return row is not None

    async def give_back(self, line: Line, /) -> None:
        """Give a line back as it is; nothing happens if it is another's by now."""
        row = self._held(line)
        if row is not None:
            row.fence += 1
            row.until = self._rows.clock.now()

    async def revive(self, lines: Sequence[bytes] | None = None, /) -> int:
        """Let lines go on at once, their attempts counted anew; return how many."""
        if lines is None:
            rows = [row for _, row in self._own() if row.due is None and not row.numbered]
        else:
            rows = [row for line, row in self._own() if line in lines]
        for row in rows:
            row.due, row.attempts = self._rows.clock.now(), 0
            row.released = row.numbered and lines is not None
        return len(rows)

    async def postpone(self, lines: Sequence[bytes], due: timedelta, /) -> None:
        """Have numbered lines be due after so long at the earliest."""
        later = self._rows.clock.now() + due
        for line, row in self._own():
            if line in lines and row.numbered and not row.released and row.due is not None:
                row.due = max(row.due, later)

    async def call(self, lines: Sequence[bytes] | None = None, /) -> frozenset[bytes]:
        """Have numbered lines looked at soon, all of them if none is named; return those there."""
        called = [
            (line, row)
            for line, row in self._own()
            if row.numbered and (lines is None or line in lines)
        ]
        for _, row in called:
            row.calls += 1
        return frozenset(line for line, _ in called)

    async def sweep(self, limit: int, /) -> int:
        """Call numbered lines whose stream has reached what comes first in them."""
        now = self._rows.clock.now()
        missed = [
            row
            for _, row in self._known()
            if row.numbered and not row.called and row.until <= now and self._reached(row)
        ]
        for row in missed[:limit]:
            row.calls += 1
        return len(missed[:limit])

    async def newest(self, line: Line, /) -> int:
        """Tell the highest epoch in a numbered line; 0 if there is nothing in it."""
        row = self._rows.lines.get((self._scope.service, line.line))
        return max((_order(entry)[0] for entry in row.entries), default=0) if row else 0

    async def drop(self, lines: Sequence[bytes], most: int | None, /) -> int:
        """Delete at most so many of the first events of each line, or all; return how many."""
        now, gone = self._rows.clock.now(), 0
        for line, row in list(self._own()):
            if line not in lines:
                continue
            before = len(row.entries)
            row.entries = [] if most is None else row.entries[most:]
            gone += before - len(row.entries)
            row.fence += 1
            row.attempts, row.until, row.note = 0, now, ""
            if row.numbered:
                row.calls += 1
            else:
                row.due = now
            if not row.entries:
                del self._rows.lines[self._scope.service, line]
        return gone

    def waiting(self) -> frozenset[RowKey]:
        """Name the events that wait here, as the inbox does."""
        service = self._scope.service
        return frozenset(
            (service, handler, event.source, event.id)
            for _, row in self._own()
            for _, handler, event in row.entries
        )

    async def next_due(self) -> timedelta | None:
        """Tell how long it is until a line that is nobody's will be due; None if none will."""
        now = self._rows.clock.now()
        rests = [
            max(row.until if row.called or row.due is None else row.due, row.until, now) - now
            for _, row in self._known()
            if row.due is not None or row.called
        ]
        return min(rests, default=None)

    async def lines(self, limit: int, /) -> Sequence[Waiting]:
        """List the lines, the oldest first."""
        own = sorted(self._own(), key=lambda found: found[1].since)[:limit]
        return [
            Waiting(
                line=line,
                handler=row.handler,
                topic=row.entries[0][2].delivery.topic,
                key=key_of(row.entries[0][2].delivery),
                events=len(row.entries),
                attempts=row.attempts,
                since=row.since,
                due=row.due,
                note=row.note,
                numbered=row.numbered,
            )
            for line, row in own
        ]

    # -- within -----------------------------------------------------------------------------------

    def _own(self) -> Iterator[tuple[bytes, Row]]:
        for (service, line), row in self._rows.lines.items():
            if service == self._scope.service:
                yield line, row

    def _known(self) -> Iterator[tuple[bytes, Row]]:
        """Lines of handlers that this version of the service has."""
        return ((line, row) for line, row in self._own() if row.handler in self._scope.handlers)

    def _held(self, line: Line) -> Row | None:
        row = self._rows.lines.get((self._scope.service, line.line))
        return row if row is not None and row.fence == line.fence else None

    def _give_back(self, line: Line, due: timedelta | None, note: str, attempts: int) -> bool:
        row = self._held(line)
        if row is None or row.calls != line.calls:
            return False
        now = self._rows.clock.now()
        row.heard = line.calls
        row.fence += 1  # who gives a line back holds it no more, whatever else it tries
        row.attempts, row.released = attempts, False
        row.due, row.until, row.note = None if due is None else now + due, now, note
        return True

    def _reached(self, row: Row) -> bool:
        """Say whether the stream of a numbered line stands at its first event, or behind it."""
        event = row.entries[0][2]
        key = (event.handler, event.source, event.stream)
        stands = self._rows.streams.positions.get(place(self._scope, key))
        return stands is not None and _order(row.entries[0])[:2] <= stands

    def _take_out(self, line: bytes, row: Row, place: int) -> None:
        """Take a copy out that waits for its number: that number is another's by now."""
        row.entries = [entry for entry in row.entries if entry[0] != place]
        if not row.entries:
            del self._rows.lines[self._scope.service, line]

    def _number(self, handler: str) -> int | None:
        return self._scope.handlers.index(handler) if handler in self._scope.handlers else None

    def _fit(self, events: Sequence[Parking]) -> bool:
        """Say whether the streams stand where *events* expect them, and what they leave is held."""
        leaving = [event.leaves for event in events if event.leaves is not None]
        if any(self._rows.held(self._scope, ticket) is None for ticket in leaving):
            return False
        steps = [event.advance for event in events if event.advance is not None]
        follows = {(_stream(step), step.epoch, step.next) for step in steps}
        return all(
            (_stream(step), step.epoch, step.expected) in follows
            or self._rows.streams.fits(self._scope, step)
            for step in steps
        )

    def _lay(self, event: Parking) -> Laid:
        handler = self._scope.handlers[event.handler]
        if event.advance is not None:
            self._rows.streams.move(self._scope, event.advance)
        if event.leaves is not None:
            self._rows.leave(self._scope, event.leaves)
        lines = [found for found in self._own() if not (event.late and found[1].numbered)]
        for line, row in lines:
            for spot, other, there in row.entries:
                if other != handler or _name(there) != _name(event):
                    continue
                if there.delivery.body != event.delivery.body:
                    return Laid.CONFLICT
                if not row.numbered or event.number is not None:
                    return Laid.THERE
                self._take_out(line, row, spot)
        if event.late:
            return Laid.ABSENT
        row = self._rows.lines[self._scope.service, event.line]
        entry = (next(self._rows.places), handler, event)
        if row.numbered and row.entries:
            first, last = _order(row.entries[0]), _order(row.entries[-1])
            row.calls += _order(entry) < first or _order(entry)[0] > last[0]
        insort(row.entries, entry, key=_order)
        return Laid.LAID


def _order(entry: Entry) -> tuple[int, int, int]:
    place, _, event = entry
    epoch, number = event.number or (0, 0)
    return (epoch, number, place)


def _stream(step: Advance) -> StreamKey:
    return (step.handler, step.source, step.stream)


def _name(event: Parking) -> tuple[str, str, int]:
    return (event.source, event.id, event.generation)

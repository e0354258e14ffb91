"""The outbox of one service in memory: as a database's, for one process's life."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush

from choreo.clock import Clock
from choreo.store.memory.books import Books, Scope
from choreo.store.outbox import (
    Backlog,
    Delayed,
    Desk,
    Emission,
    Outbox,
    Refused,
    Row,
    Settled,
    Share,
)
from choreo.store.port import End, Verdict
from choreo.store.shards import PER_SHARD, SHARDS, divide, lane_digest, shard_of

MICROSECOND = timedelta(microseconds=1)
YEAR_1970 = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


Timer = tuple[datetime, int, Emission]
"""When it is due, its place among those due at the same moment, and what it is."""


@dataclass(slots=True)
class Shelf:
    """What all relays of one service share."""

    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    """Ready ones and those that wait, by id, which is their order."""
    aside: dict[int, Row] = field(default_factory=dict[int, Row])
    identities: dict[str, int] = field(default_factory=dict[str, int])
    lanes: dict[bytes, datetime | None] = field(default_factory=dict[bytes, datetime | None])
    """Lanes that wait, and until when."""
    behind: dict[bytes, dict[int, None]] = field(default_factory=dict[bytes, dict[int, None]])
    """Ids of the rows that wait in each."""
    ready: list[dict[int, None]] = field(
        default_factory=lambda: [dict[int, None]() for _ in range(SHARDS)]
    )
    reasons: dict[int, str] = field(default_factory=dict[int, str])
    owners: dict[int, tuple[str, datetime]] = field(default_factory=dict[int, tuple[str, datetime]])
    fences: dict[int, int] = field(default_factory=dict[int, int])
    relays: dict[str, datetime] = field(default_factory=dict[str, datetime])
    streams: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Producer epoch and last number of each."""
    timers: list[list[Timer]] = field(
        default_factory=lambda: [list[Timer]() for _ in range(SHARDS)]
    )
    """Of each shard, as a heap."""
    wound: set[str] = field(default_factory=set[str])
    """The ids of the timers."""
    last: int = 0


class Shelves:
    """The outboxes of all services of one memory store: a part of every end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shelves: dict[str, Shelf] = {}

    def of(self, service: str) -> Shelf:
        """Return the outbox of *service*."""
        return self._shelves.setdefault(service, Shelf())

    def refuse(self, _scope: Scope, _end: End, /) -> Verdict | None:
        """Refuse nothing: what is there already is left alone."""
        return None

    def write(self, scope: Scope, end: End, /) -> None:
        """Keep what *end* emits."""
        shelf = self.of(scope.service)
        for emission in end.emitted:
            if emission.delay is None:
                _put(shelf, emission, self._clock.now())
            elif emission.identity not in shelf.wound:
                _wind(shelf, emission, self._clock.now() + emission.delay)


def _wind(shelf: Shelf, emission: Emission, due: datetime) -> None:
    shelf.last += 1
    shelf.wound.add(emission.identity)
    heap = shelf.timers[shard_of(lane_digest(emission.lane))]
    heappush(heap, (due, shelf.last, emission))


def _put(shelf: Shelf, emission: Emission, now: datetime) -> None:
    if emission.identity in shelf.identities:
        return
    number = epoch = None
    if emission.stream is not None:
        fresh = ((now - YEAR_1970) // MICROSECOND, 0)
        epoch, last = shelf.streams.get(emission.stream, fresh)
        number = last + 1
        shelf.streams[emission.stream] = (epoch, number)
    shelf.last += 1
    lane = lane_digest(emission.lane)
    row = Row(
        id=shelf.last,
        shard=shard_of(lane),
        lane=lane,
        identity=emission.identity,
        message=emission.message,
        created=now,
        number=number,
        epoch=epoch,
    )
    shelf.rows[row.id] = row
    shelf.identities[row.identity] = row.id
    shelf.ready[row.shard][row.id] = None


class MemoryOutbox:
    """One service's outbox in memory, for its relays and for its operator."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    # ── the relay's side ──────────────────────────────────────────────────────────────────────

    async def keep(self, holder: str, duration: timedelta, /) -> Share:
        """Prolong the holder's leases, and take free shards up to its fair share."""
        shelf, now = self._shelf, self._clock.now()
        shelf.relays = {name: until for name, until in shelf.relays.items() if until > now}
        shelf.relays[holder] = now + duration
        held = [shard for shard, (owner, _) in shelf.owners.items() if owner == holder]
        division = divide(held, len(shelf.relays))
        held += self._take(division.wanted, now)
        shelf.owners |= dict.fromkeys(held, (holder, now + duration))
        fences = {shard: shelf.fences[shard] for shard in held}
        return Share(held=fences, surplus=division.surplus, relays=len(shelf.relays))

    async def release(self, holder: str, shards: Collection[int], /) -> None:
        """Give *shards* back at once, those that are the holder's."""
        for shard in self._held(holder) & set(shards):
            del self._shelf.owners[shard]

    async def leave(self, holder: str, /) -> None:
        """Give everything back at once."""
        await self.release(holder, range(SHARDS))
        self._shelf.relays.pop(holder, None)

    async def read(self, holder: str, limit: int, /) -> Sequence[Row]:
        """Return about *limit* rows of the holder's shards, in the order of their ids per lane."""
        shelf, now, held = self._shelf, self._clock.now(), self._held(holder)
        per = max(limit // SHARDS, PER_SHARD)
        found = [
            replace(shelf.rows[identity], blocked=shelf.rows[identity].lane in shelf.lanes)
            for shard in held
            for identity in _first(shelf.ready[shard], per)
        ]
        for lane, due in shelf.lanes.items():
            if due is not None and due <= now and shard_of(lane) in held:
                waiting = _first(shelf.behind.get(lane, {}), per)
                found += [replace(shelf.rows[identity], waiting=True) for identity in waiting]
        return sorted(found, key=lambda row: row.id)

    async def fire(self, holder: str, limit: int, /) -> timedelta | None:
        """Make rows of up to *limit* timers of the holder's shards that are due, soonest first."""
        shelf, now = self._shelf, self._clock.now()
        for fired in range(limit):
            heaps = [heap for shard in self._held(holder) if (heap := shelf.timers[shard])]
            if not heaps:
                return timedelta(0) if fired else None
            soonest = min(heaps, key=lambda heap: heap[0][:2])
            if soonest[0][0] > now:
                return timedelta(0) if fired else soonest[0][0] - now
            _, _, emission = heappop(soonest)
            shelf.wound.remove(emission.identity)
            _put(shelf, emission, now)
        return timedelta(0)

    async def settle(self, holder: str, settled: Settled, /) -> Collection[int]:
        """Write down what became of rows; return the shards that are another's by now."""
        shelf, held = self._shelf, self._held(holder)
        lost: set[int] = set()
        for refusal in settled.refused:
            row = shelf.rows.get(refusal.row.id)
            if refusal.row.shard not in held:
                lost.add(refusal.row.shard)
            elif row is not None:
                self._unqueue(row)
                row = replace(row, attempts=refusal.attempts)
                shelf.reasons[row.id] = refusal.reason
                if refusal.aside:
                    del shelf.rows[row.id]
                    shelf.aside[row.id] = row
                else:
                    again = refusal.again
                    self._queue(row, None if again is None else self._clock.now() + again)
        for row in settled.behind:
            if row.shard not in held:
                lost.add(row.shard)
            elif row.id in shelf.rows:
                self._unqueue(row)
                self._queue(shelf.rows[row.id], shelf.lanes.get(row.lane, self._clock.now()))
        for row in settled.accepted:
            if row.shard in held:
                self._forget(row)
            else:
                lost.add(row.shard)
        self._free()
        return lost

    async def backlog(self, holder: str, /) -> Backlog:
        """Tell how much lies in the holder's shards."""
        shelf, held = self._shelf, self._held(holder)
        mine = [row for row in shelf.rows.values() if row.shard in held]
        since = [row.created for row in mine]
        since += [due for shard in held for due, _, _ in shelf.timers[shard][:1]]
        oldest = min(since, default=None)
        age = None if oldest is None else self._clock.now() - oldest
        stuck = [row for row in mine if row.attempts and shelf.lanes.get(row.lane) is None]
        return Backlog(
            depth=len(mine),
            oldest=age if age is not None and age >= timedelta(0) else None,
            quarantined=len(stuck) + sum(row.shard in held for row in shelf.aside.values()),
            waiting=sum(shard_of(lane) in held for lane in shelf.lanes),
        )

    # ── the operator's side ───────────────────────────────────────────────────────────────────

    async def refused(self, limit: int, /) -> Sequence[Refused]:
        """List at most *limit* of the rows that the broker has refused, oldest first."""
        return [self._shown(row) for row in self._refused()][:limit]

    async def retry(self, ids: Collection[int] | None, /) -> int:
        """Have refused rows tried at once, attempts counted anew: all, or those of *ids*."""
        chosen = [row for row in self._refused() if ids is None or row.id in ids]
        for row in chosen:
            self._shelf.aside.pop(row.id, None)
            self._shelf.reasons.pop(row.id, None)
            self._queue(replace(row, attempts=0), self._clock.now())
        return len(chosen)

    async def drop(self, ids: Collection[int], /) -> int:
        """Delete refused rows, never to be published; what waited for them goes on."""
        chosen = [row for row in self._refused() if row.id in ids]
        for row in chosen:
            if row.id in self._shelf.rows:
                self._shelf.lanes[row.lane] = self._clock.now()
            self._forget(row)
        self._free()
        return len(chosen)

    async def timers(self, limit: int, /) -> Sequence[Delayed]:
        """List at most *limit* of the timers, those due first before the others."""
        timers = (timer for heap in self._shelf.timers for timer in heap)
        every = sorted(timers, key=lambda timer: timer[:2])
        return [
            Delayed(identity=emission.identity, message=emission.message, due=due)
            for due, _, emission in every[:limit]
        ]

    def _refused(self) -> Sequence[Row]:
        shelf = self._shelf
        found = [row for row in (*shelf.rows.values(), *shelf.aside.values()) if row.attempts]
        return sorted(found, key=lambda row: row.id)

    def _shown(self, row: Row) -> Refused:
        shelf = self._shelf
        aside = row.id in shelf.aside
        behind = shelf.behind.get(row.lane, {})
        return Refused(
            row=row,
            reason=shelf.reasons.get(row.id, ""),
            due=None if aside else shelf.lanes.get(row.lane),
            aside=aside,
            behind=0 if aside else sum(identity > row.id for identity in behind),
        )

    # ── where a row is ────────────────────────────────────────────────────────────────────────

    def _held(self, holder: str) -> set[int]:
        return {shard for shard, (owner, _) in self._shelf.owners.items() if owner == holder}

    def _take(self, wanted: int, now: datetime) -> Sequence[int]:
        shelf = self._shelf
        free = [
            shard
            for shard in range(SHARDS)
            if shard not in shelf.owners or shelf.owners[shard][1] <= now
        ]
        for shard in free[:wanted]:
            shelf.fences[shard] = shelf.fences.get(shard, 0) + 1
        return free[:wanted]

    def _queue(self, row: Row, due: datetime | None) -> None:
        """Have *row* wait, in the order of ids, in a lane that waits until *due*."""
        shelf = self._shelf
        shelf.rows[row.id] = row
        shelf.lanes[row.lane] = due
        behind = shelf.behind.setdefault(row.lane, {})
        last = next(reversed(behind), 0)
        behind[row.id] = None
        if row.id < last:
            shelf.behind[row.lane] = dict.fromkeys(sorted(behind))

    def _unqueue(self, row: Row) -> None:
        self._shelf.ready[row.shard].pop(row.id, None)
        self._shelf.behind.get(row.lane, {}).pop(row.id, None)

    def _forget(self, row: Row) -> None:
        shelf = self._shelf
        self._unqueue(row)
        shelf.rows.pop(row.id, None)
        shelf.aside.pop(row.id, None)
        shelf.reasons.pop(row.id, None)
        shelf.identities.pop(row.identity, None)

    def _free(self) -> None:
        """Let lanes go on in which nothing waits any more."""
        shelf = self._shelf
        for lane in [lane for lane in shelf.lanes if not shelf.behind.get(lane)]:
            del shelf.lanes[lane]
            shelf.behind.pop(lane, None)


def outbox_in(books: Books, scope: Scope) -> MemoryOutbox:
    """Open the outbox of one service, shared by all who use the same books."""
    found = next((part for part in books.parts if isinstance(part, Shelves)), None)
    if found is None:
        found = Shelves(books.clock)
        books.parts.append(found)
    return MemoryOutbox(found.of(scope.service), books.clock)


def _first(ids: dict[int, None], count: int) -> Iterator[int]:
    return (identity for identity, _ in zip(ids, range(count), strict=False))


_: type[Outbox] = MemoryOutbox
_desk: type[Desk] = MemoryOutbox

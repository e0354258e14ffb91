"""What all clients of one memory store share: rows, who is at which, and the parts of an end.

Nothing here waits, so that whatever a method does is done at once for everybody in the event loop.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from choreo.clock import Clock
from choreo.store.memory.transaction import Values
from choreo.store.port import Attempt, Claim, End, Known, State, Verdict
from choreo.store.rules import Kept, bearer, judge, judge_purpose

RowKey = tuple[str, str, str, str]
"""Service, handler, source and id; the source of an idempotency key is empty."""


@dataclass(slots=True)
class Row:
    """What is kept of one key."""

    state: State
    fingerprint: bytes
    generation: int = 0
    ended: datetime | None = None
    attempts: int = 0
    crashes: int = 0
    first_failed: datetime | None = None
    fence: int = 0
    owner: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """A service and its handlers, by number."""

    service: str
    handlers: tuple[str, ...]

    def rows(self, claim: Claim) -> Iterator[RowKey]:
        """Yield the key of the event's row, and of its idempotency key's where there is one."""
        handler, source, identity = claim.key
        yield (self.service, self.handlers[handler], source, identity)
        if claim.purpose is not None:
            yield (self.service, self.handlers[handler], "", claim.purpose)


class Part(Protocol):
    """A share of an end beside the inbox."""

    def refuse(self, scope: Scope, end: End, /) -> Verdict | None:
        """Say why *end* cannot be written; None if it can."""
        ...

    def write(self, scope: Scope, end: End, /) -> None:
        """Write the share of *end*, which nobody has refused."""
        ...


class Books:
    """The rows of one memory store."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.values = Values()
        self.parts: list[Part] = []
        self.rows: dict[RowKey, Row] = {}
        self._busy: dict[RowKey, asyncio.Event] = {}

    # ── who is at which rows ──────────────────────────────────────────────────────────────────

    async def free(self, keys: list[RowKey]) -> None:
        """Return when nobody has an open transaction at any of *keys*."""
        while waiting := [self._busy[key] for key in keys if key in self._busy]:
            await waiting[0].wait()

    def occupy(self, keys: list[RowKey]) -> None:
        """Keep others from *keys*, which are free."""
        done = asyncio.Event()
        self._busy.update(dict.fromkeys(keys, done))

    def vacate(self, keys: list[RowKey]) -> None:
        """Let others at *keys*."""
        for key in keys:
            self._busy.pop(key).set()

    # ── rows ──────────────────────────────────────────────────────────────────────────────────

    def judge(self, scope: Scope, claim: Claim, fence: int | None) -> Verdict:
        """Say whether *claim* may be written."""
        event, *purposes = scope.rows(claim)
        verdict = judge(self._kept(event), claim, fence)
        for key in purposes:
            if verdict is Verdict.WRITTEN:
                verdict = judge_purpose(self._kept(key), claim, fence)
        return verdict

    def refuse(self, scope: Scope, end: End) -> Verdict:
        """Say whether the parts would write *end*."""
        for part in self.parts:
            verdict = part.refuse(scope, end)
            if verdict is not None:
                return verdict
        return Verdict.WRITTEN

    def write(self, scope: Scope, end: End) -> None:
        """Write *end*, which was judged well."""
        event, *purposes = scope.rows(end.claim)
        row = self._take(event, end.claim)
        row.state, row.ended, row.until = end.state, end.claim.at, None
        for key in purposes:
            if end.state is State.DONE:
                used = self.rows.setdefault(key, Row(State.DONE, b""))
                used.state, used.fingerprint = State.DONE, bearer(end.claim)
                used.ended, used.until = end.claim.at, None
            elif key in self.rows:
                self.rows[key].state = State.OPEN
        for part in self.parts:
            part.write(scope, end)

    def hold(self, scope: Scope, claim: Claim, owner: str, duration: timedelta) -> int:
        """Give the rows of *claim*, which was judged well, to *owner*; return its fence."""
        until = self.clock.now() + duration
        event, *purposes = scope.rows(claim)
        died = event in self.rows and self.rows[event].state is State.CLAIMED
        row = self._take(event, claim)
        row.state, row.ended, row.until = State.CLAIMED, None, until
        row.owner = owner
        row.crashes += died
        for key in purposes:
            used = self.rows.setdefault(key, Row(State.CLAIMED, b""))
            used.state, used.fingerprint, used.until = State.CLAIMED, bearer(claim), until
        return row.fence

    def owned(self, scope: Scope, claim: Claim, fence: int) -> list[Row]:
        """Return the rows held under a lease; none if it is another's by now."""
        event, *purposes = scope.rows(claim)
        row = self.rows.get(event)
        if row is None or row.state is not State.CLAIMED or row.fence != fence:
            return []
        used = [self.rows[key] for key in purposes if key in self.rows]
        mine = bearer(claim)
        return [row, *(one for one in used if one.fingerprint == mine)]

    def note(self, scope: Scope, attempt: Attempt) -> None:
        """Remember a failed attempt, unless the event has ended meanwhile."""
        claim = attempt.claim
        key = next(scope.rows(claim))
        row = self.rows.get(key)
        if attempt.taken_back:
            if row is not None and row.state in {State.OPEN, State.CLAIMED}:
                row.attempts = max(row.attempts - 1, 0)
            return
        if row is not None and not _may_fail(row, claim):
            return
        row = self._take(key, claim, same_owner=True)
        if row.state in {State.DONE, State.DEAD}:
            row.state = State.OPEN
        row.ended = None
        row.attempts = max(row.attempts, attempt.attempts)
        row.first_failed = row.first_failed or attempt.first_failed

    def known(self, key: RowKey) -> Known | None:
        """Tell what is known of *key*."""
        row = self.rows.get(key)
        if row is None:
            return None
        state = self._state(row)
        return Known(
            state=state,
            fingerprint=row.fingerprint,
            generation=row.generation,
            attempts=row.attempts,
            crashes=row.crashes + (state is not row.state),
            first_failed=row.first_failed,
        )

    def _take(self, key: RowKey, claim: Claim, *, same_owner: bool = False) -> Row:
        """Return the row, made or made over for *claim*."""
        row = self.rows.setdefault(key, Row(State.OPEN, claim.fingerprint, claim.generation))
        if row.generation != claim.generation:
            row.attempts, row.crashes, row.first_failed = 0, 0, None
        row.fingerprint, row.generation = claim.fingerprint, claim.generation
        row.fence += not same_owner
        return row

    def _kept(self, key: RowKey) -> Kept | None:
        row = self.rows.get(key)
        if row is None:
            return None
        return Kept(
            state=self._state(row),
            fingerprint=row.fingerprint,
            generation=row.generation,
            fence=row.fence,
        )

    def _state(self, row: Row) -> State:
        """Return the row's state: a claim whose lease ran out is an open event again."""
        over = row.until is not None and row.until <= self.clock.now()
        return State.OPEN if row.state is State.CLAIMED and over else row.state


def _may_fail(row: Row, claim: Claim) -> bool:
    if row.state is State.DONE and not claim.forced:
        return False
    ended = row.state in {State.DONE, State.DEAD}
    return claim.generation > row.generation or (claim.generation == row.generation and not ended)

"""In which calls the rows of an outbox are handed to the broker: pure, tested by permutation.

Rows go out in waves: of each lane its first row, of all lanes at once; the next wave when the
receipt of this one is there.  So nothing is handed over before what precedes it in its lane is
known to be accepted, whatever the broker refuses or leaves unanswered in between (P6), and lanes do
not wait for each other longer than one receipt.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Literal

from choreo.retry import Retry
from choreo.store.outbox import Refusal, Row, Settled

OnRefused = Literal["hold", "pass"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusing:
    """What becomes of rows that the broker refuses."""

    retry: Retry = Retry(attempts=10, initial=timedelta(seconds=1), maximum=timedelta(minutes=5))
    """Attempts before a row is quarantined: nearly nine minutes of them."""
    then: OnRefused = "hold"
    """Afterwards its lane waits for an operator, or goes on without it."""


class Round:
    """Rows that were read once, on their way out."""

    def __init__(
        self, rows: Sequence[Row], refusing: Refusing, random: Random, *, run: int = 1
    ) -> None:
        self._refusing = refusing
        self._random = random
        self._run = run
        self._lanes: dict[bytes, deque[Row]] = {}
        self._flight: list[Row] = []
        self._accepted: list[Row] = []
        self._refused: list[Refusal] = []
        self._behind: list[Row] = []
        self.doubted = 0
        """Rows of which nothing is known: they are read again."""
        for row in rows:
            if row.blocked:
                self._behind.append(row)
            else:
                self._lanes.setdefault(row.lane, deque()).append(row)

    def wave(self) -> Sequence[Row]:
        """Return what may be handed to the broker now; nothing once the round is over."""
        self._flight = []
        self._put_aside()
        for lane, rows in list(self._lanes.items()):
            whole = next((n for n, row in enumerate(rows) if row.problem), len(rows))
            # What was refused before goes alone: what follows it must see it accepted first.
            count = 1 if rows[0].attempts else min(self._run, whole)
            self._flight += [rows.popleft() for _ in range(count)]
            if not rows:
                del self._lanes[lane]
        return self._flight

    def landed(
        self, refused: Mapping[int, str] | None = None, unknown: Mapping[int, str] | None = None
    ) -> None:
        """Take the receipt of the last wave: what of it, by index, was refused or is unknown."""
        refused, unknown = refused or {}, unknown or {}
        for index, row in enumerate(self._flight):
            if index in refused:
                self._refuse(row, refused[index])
            elif index in unknown:
                self.doubted += 1
                self._lanes.pop(row.lane, None)
            else:
                self._accepted.append(row)
                if row.attempts:
                    # Its successors were read while it stood before them as refused.
                    self._lanes.pop(row.lane, None)

    def lost(self) -> None:
        """Take note that nothing is known of the last wave."""
        self.landed(unknown=dict.fromkeys(range(len(self._flight)), ""))

    def drop(self) -> None:
        """Take note that the last wave was not handed over, and no other will be."""
        self._lanes.clear()
        self._flight = []

    def settled(self) -> Settled:
        """Tell, once, what became of rows; those never told of are read again."""
        told = Settled(
            accepted=tuple(self._accepted),
            refused=tuple(self._refused),
            behind=tuple(self._behind),
        )
        self._accepted, self._refused, self._behind = [], [], []
        return told

    def _put_aside(self) -> None:
        """Refuse, in the broker's place, what cannot be read: it must block its own lane alone."""
        for lane, rows in list(self._lanes.items()):
            while rows and rows[0].problem and lane in self._lanes:
                row = rows.popleft()
                self._refuse(row, row.problem)
            if not rows:
                self._lanes.pop(lane, None)

    def _refuse(self, row: Row, reason: str) -> None:
        refusing, attempts = self._refusing, row.attempts + 1
        again: timedelta | None = None
        if attempts < refusing.retry.attempts:
            again = timedelta(seconds=refusing.retry.backoff(attempts, self._random))
        aside = again is None and refusing.then == "pass"
        self._refused.append(
            Refusal(row=row, reason=reason, attempts=attempts, again=again, aside=aside)
        )
        if not aside:
            rest = self._lanes.pop(row.lane, ())
            self._behind += [later for later in rest if not later.waiting]

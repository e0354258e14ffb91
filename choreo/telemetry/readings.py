"""What there is to read of a running service: its gauges, read in the event loop's thread.

Theory of operation.  A provider collects when it likes, mostly in a thread of its own, but a worker
and a consumer are the event loop's.  So the collecting thread asks the loop, and goes without an
answer when the loop is too busy to give one soon: a missing value says that, too.
"""

import asyncio
from collections.abc import Callable, Sequence, Sized
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from threading import get_ident
from typing import Protocol

from choreo.broker import Progress
from choreo.clock import Clock
from choreo.store.outbox import Backlog
from choreo.telemetry import conventions as names
from choreo.telemetry.conventions import Metric
from choreo.telemetry.counting import Counting
from choreo.telemetry.labels import Attributes, Labels

PATIENCE = 0.5
"""Seconds that a collecting thread waits for the loop."""

Row = tuple[Metric, float, Attributes]


class Work(Protocol):
    """What is read of a worker."""

    @property
    def held(self) -> int:
        """Count the deliveries taken in and not settled."""
        ...

    @property
    def waiting(self) -> Sized:
        """The jobs that rest until another attempt."""
        ...

    @property
    def lanes(self) -> int:
        """Count the lanes with work."""
        ...

    @property
    def paused(self) -> Sized:
        """The handlers that rest."""
        ...


class Streams(Protocol):
    """What is read of a consumer."""

    def progress(self) -> Sequence[Progress]:
        """Say where each stream stands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """What is read of one service."""

    work: Work
    streams: Streams
    backlog: Callable[[], Backlog] | None = None
    """What lies in the outbox; None without a store."""


class Readings:
    """Reads one running service; made in its event loop."""

    def __init__(
        self, labels: Labels, counting: Counting, clock: Clock, subjects: Subjects
    ) -> None:
        self._labels = labels
        self._counting = counting
        self._clock = clock
        self._work = subjects.work
        self._streams = subjects.streams
        self._backlog = subjects.backlog
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()

    def __call__(self) -> Sequence[Row]:
        """Read every gauge, from whatever thread; nothing if the loop gives no answer."""
        if get_ident() == self._thread:
            return self._rows()
        answer: Future[Sequence[Row]] = Future()
        try:
            self._loop.call_soon_threadsafe(self._answer, answer)
            return answer.result(PATIENCE)
        except (RuntimeError, TimeoutError):
            return ()

    def _answer(self, answer: "Future[Sequence[Row]]") -> None:
        try:
            answer.set_result(self._rows())
        except Exception as error:  # noqa: BLE001 -- a third party's progress(); the asker is told
            answer.set_exception(error)

    def _rows(self) -> Sequence[Row]:
        service: Attributes = {names.SERVICE: self._labels.service}
        oldest = self._counting.oldest()
        age = 0.0 if oldest is None else self._clock.now().timestamp() - oldest
        rows: list[Row] = [
            (names.HELD, self._work.held, service),
            (names.WAITING, len(self._work.waiting), service),
            (names.LANES, self._work.lanes, service),
            (names.OLDEST, max(0.0, age), service),
            (names.PAUSED, len(self._work.paused), service),
        ]
        if self._backlog is not None:
            backlog = self._backlog()
            rows.append((names.OUTBOX, backlog.depth, service))
            rows.append((names.OUTBOX_REFUSED, backlog.quarantined, service))
            since = timedelta() if backlog.oldest is None else backlog.oldest
            rows.append((names.OUTBOX_OLDEST, since.total_seconds(), service))
        for progress in self._streams.progress():
            stream = {**service, **self._labels.stream(progress.stream)}
            rows.append((names.SPAN, max(0, progress.handed - progress.settled), stream))
            if progress.end is not None:
                rows.append((names.LAG, max(0, progress.end - progress.settled), stream))
        return rows

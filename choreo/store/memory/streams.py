"""How far each numbered stream has come, in memory."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from choreo.clock import Clock
from choreo.store.memory.books import Scope
from choreo.store.port import End, Verdict
from choreo.store.streams import NOT_BEGUN, Advance, Position, Skip, StreamKey

KEPT = 1_000
"""Skips that are remembered; memory is no archive."""

Place = tuple[str, str, str, str]
"""Service, handler, source and stream."""


class StreamRows:
    """The positions in one memory store: the part of an end that moves a stream."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.positions: dict[Place, Position] = {}
        self.skips: list[tuple[Place, Skip]] = []

    def refuse(self, scope: Scope, end: End, /) -> Verdict | None:
        """Say if a stream does not stand where *end* expects it."""
        return None if end.advance is None or self.fits(scope, end.advance) else Verdict.MOVED

    def write(self, scope: Scope, end: End, /) -> None:
        """Move the stream of *end*."""
        if end.advance is not None:
            self.move(scope, end.advance)

    def fits(self, scope: Scope, step: Advance) -> bool:
        """Compare, as the port says."""
        stands = self.positions.get(place(scope, (step.handler, step.source, step.stream)))
        if stands is None or stands.epoch < step.epoch:
            return step.expected == NOT_BEGUN
        return stands == (step.epoch, step.expected)

    def move(self, scope: Scope, step: Advance) -> None:
        """Set, after comparing."""
        key = place(scope, (step.handler, step.source, step.stream))
        self.positions[key] = Position(step.epoch, step.next)
        if step.skipped:
            skip = Skip(
                handler=step.handler,
                source=step.source,
                stream=step.stream,
                epoch=step.epoch,
                first=step.next - 1 - step.skipped,
                last=step.next - 2,
                at=self._clock.now(),
            )
            self.skips.append((key, skip))
            del self.skips[:-KEPT]


class MemoryStreams:
    """The positions of one service's streams."""

    def __init__(self, rows: StreamRows, scope: Scope) -> None:
        self._rows = rows
        self._scope = scope

    async def positions(self, streams: Sequence[StreamKey], /) -> Mapping[StreamKey, Position]:
        """Tell where *streams* stand; of those that nobody has begun nothing."""
        found = {key: self._rows.positions.get(place(self._scope, key)) for key in streams}
        return {key: position for key, position in found.items() if position is not None}

    async def move(self, advances: Sequence[Advance], /) -> Sequence[bool]:
        """Move streams without an event's end; False for each that does not fit."""
        return [self._move(step) for step in advances]

    async def skips(self, limit: int, /) -> Sequence[Skip]:
        """List what was given up last, the latest first."""
        own = [skip for key, skip in self._rows.skips if key[0] == self._scope.service]
        return own[: -limit - 1 : -1]

    def forget(self, before: datetime, limit: int) -> int:
        """Forget at most *limit* of the numbers given up *before*; return how many records."""
        own = self._scope.service
        old = [each for each in self._rows.skips if each[0][0] == own and each[1].at < before]
        for each in old[:limit]:
            self._rows.skips.remove(each)
        return len(old[:limit])

    def _move(self, step: Advance) -> bool:
        fits = self._rows.fits(self._scope, step)
        if fits:
            self._rows.move(self._scope, step)
        return fits


def place(scope: Scope, stream: StreamKey) -> Place:
    """Name a stream apart from those of other services."""
    handler, source, name = stream
    return (scope.service, scope.handlers[handler], source, name)

"""Positions of numbered streams for one process's life, where a service has no store."""

from collections.abc import Mapping, Sequence

from choreo.store.streams import NOT_BEGUN, Advance, Position, Positions, StreamKey


class PassingPositions:
    """The latest streams, in two generations as the inbox's keys are: expiry costs nothing."""

    def __init__(self, window: int) -> None:
        """Remember between *window* and twice as many streams."""
        self._window = max(window, 1)
        self._young: dict[StreamKey, Position] = {}
        self._old: dict[StreamKey, Position] = {}

    def get(self, stream: StreamKey) -> Position | None:
        """Tell where *stream* stands, as far as is remembered."""
        return self._young.get(stream) or self._old.get(stream)

    def set(self, stream: StreamKey, position: Position) -> None:
        """Remember where *stream* stands."""
        if len(self._young) >= self._window and stream not in self._young:
            self._old = self._young
            self._young = {}
        self._young[stream] = position

    def forget(self, stream: StreamKey) -> None:
        """Know nothing of *stream* any more."""
        self._young.pop(stream, None)
        self._old.pop(stream, None)

    def clear(self) -> None:
        """Know nothing any more."""
        self._young, self._old = {}, {}

    async def positions(self, streams: Sequence[StreamKey], /) -> Mapping[StreamKey, Position]:
        """Tell where *streams* stand; of those that nobody has begun nothing."""
        found = {stream: self.get(stream) for stream in streams}
        return {stream: position for stream, position in found.items() if position is not None}

    async def move(self, advances: Sequence[Advance], /) -> Sequence[bool]:
        """Move streams; False for each that does not fit."""
        return [self._move(step) for step in advances]

    def _move(self, step: Advance) -> bool:
        stream = (step.handler, step.source, step.stream)
        stands = self.get(stream) or Position()
        if stands.epoch < step.epoch:
            stands = Position(step.epoch, NOT_BEGUN)
        if stands != (step.epoch, step.expected):
            return False
        self.set(stream, Position(step.epoch, step.next))
        return True


_: type[Positions] = PassingPositions

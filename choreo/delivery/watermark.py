"""Which prefix of a stream is done, and which positions above it: decides what may be committed.

Theory of operation.  Positions are taken in increasing order as they are handed over, with any
holes the broker leaves (compaction, transaction markers), and finished in any order.  The watermark
is the lowest taken position that is not finished, or one past everything seen when none is left:
committing it can never pass unfinished work (K1), and holes count as done because nothing was
handed over (K2).

What was never taken above the watermark counts as done, too: holes, and what an earlier owner had
finished.  The finished positions above the watermark travel in the commit's metadata, so that after
a crash only what was truly unfinished is handed over again.  Format, after the commit metadata of
Confluent's Parallel Consumer: ``c1`` and then base64 of LEB128 varints, run lengths of alternately
unfinished and finished positions, beginning with an unfinished run at the committed position.
"""

import binascii
from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator

MAGIC = "c1"

CONTINUED = 0x80
LOW_BITS = 0x7F
MAX_SHIFT = 63
FARTHEST = 2**63 - 1
"""The largest position that a broker can have: what is beyond it is damaged."""
OPEN = 0
DONE = b"\1"
WIDE = 4096
"""Positions of a hole that is too wide for a mark each."""
ONE_BYTE = tuple(bytes((value,)) for value in range(CONTINUED))


class Watermark:
    """The done prefix of one stream in one epoch."""

    __slots__ = ("_base", "_gaps", "_inherited", "_marks", "_seen")

    def __init__(self, start: int, inherited: "Finished | None" = None) -> None:
        """Begin at *start*: everything below it is done, and what is *inherited* above it."""
        self._marks = bytearray()
        """A byte for each position from the first that was not done: whether it is done by now."""
        self._base = start
        """Position of the first mark; the marks end before the first position not seen."""
        self._gaps: list[tuple[int, int]] = []
        """Wide holes, which have no marks: before which mark, and how wide; most have none."""
        self._seen = start
        self._inherited = inherited

    @property
    def position(self) -> int:
        """First position that is not done: what may be committed."""
        if self._marks and self._marks[0]:
            self._advance()
        return self._base if self._marks else self._seen

    @property
    def seen(self) -> int:
        """First position that was neither taken nor passed over."""
        return self._seen

    @property
    def span(self) -> int:
        """Positions from the first unfinished one to the newest."""
        return self._seen - self.position

    @property
    def unfinished(self) -> int:
        """Count what was taken and is not finished."""
        return self._marks.count(OPEN)

    def remaining(self) -> list[int]:
        """List what was taken and is not finished, lowest first."""
        marks, found = self._marks, list[int]()
        index = marks.find(OPEN)
        while index >= 0:
            wide = sum(width for before, width in self._gaps if before <= index)
            found.append(self._base + index + wide)
            index = marks.find(OPEN, index + 1)
        return found

    def take(self, position: int) -> None:
        """Note that *position* was handed over; positions only ever grow."""
        if position != self._seen:
            if position < self._seen:
                raise ValueError(f"position {position} was taken before; next is {self._seen}")
            self.skip_to(position)
        marks = self._marks
        if not marks:
            self._base = position
        marks.append(OPEN)
        self._seen = position + 1

    def take_to(self, position: int) -> None:
        """Note that all from the newest up to, not including, *position* was handed over."""
        if position > self._seen:
            if not self._marks:
                self._base = self._seen
            self._marks.extend(bytes(position - self._seen))
            self._seen = position

    def skip_to(self, position: int) -> None:
        """Note that nothing below *position* will be handed over any more."""
        width = position - self._seen
        if width <= 0:
            return
        self._seen = position
        if width > WIDE and self._marks:
            self._gaps.append((len(self._marks), width))
        elif self._marks:
            self._marks.extend(DONE * width)

    def finish(self, position: int) -> None:
        """Note that *position* is done. Twice is once."""
        index = position - self._base
        if self._gaps:
            index = self._index(position)
        if 0 <= index < len(self._marks):
            self._marks[index] = 1

    def _advance(self) -> None:
        """Leave behind what is done, now that the first is: only who asks needs to know."""
        marks = self._marks
        count = marks.find(OPEN)
        if count < 0:
            marks.clear()
            self._gaps.clear()
            return
        del marks[:count]  # which moves nothing, but where the marks begin
        self._base += count
        if self._gaps:
            self._pass_gaps(count)

    def _index(self, position: int) -> int:
        """Find the mark of *position* where there are wide holes; -1 for what lies in one."""
        index = position - self._base
        for before, width in self._gaps:
            if index < before:
                break
            index -= width
            if index < before:
                return -1
        return index

    def _pass_gaps(self, count: int) -> None:
        """Leave behind the holes before the first mark, now that *count* marks are gone."""
        self._gaps = [(before - count, width) for before, width in self._gaps]
        while self._gaps and self._gaps[0][0] <= 0:
            self._base += self._gaps.pop(0)[1]

    def metadata(self, limit: int) -> tuple[str, bool]:
        """Encode what is finished above the watermark in at most *limit* characters.

        The second value says whether all of it fitted; what did not is handed over again after a
        crash.
        """
        data = bytearray()
        room = (limit - len(MAGIC)) // 4 * 3
        whole = True
        cursor = self.position
        for start, end in self._done():
            pair = _varint(start - cursor) + _varint(end - start)
            if len(data) + len(pair) > room:
                whole = False
                break
            data += pair
            cursor = end
        return (MAGIC + b64encode(bytes(data)).decode() if data else "", whole)

    def _done(self) -> Iterator[tuple[int, int]]:
        """Give the ranges above the watermark that need not be handed over again."""
        inherited = self._inherited
        if inherited is not None and inherited.end <= self._seen:
            inherited = self._inherited = None
        if self.span > self.unfinished:
            cursor = self.position
            for position in self.remaining():
                if position > cursor:
                    yield cursor, position
                cursor = position + 1
            if self._seen > cursor:
                yield cursor, self._seen
        if inherited is not None:
            yield from inherited.above(self._seen)


class Finished:
    """Ranges that an earlier owner of a stream had finished above the position it committed."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        ordered = sorted(ranges)
        self._starts = [start for start, _ in ordered]
        self._ends = [end for _, end in ordered]

    def __contains__(self, position: int) -> bool:
        """Say whether *position* was finished."""
        index = bisect_right(self._starts, position) - 1
        return index >= 0 and position < self._ends[index]

    def __len__(self) -> int:
        """Count the finished positions."""
        return sum(end - start for start, end in zip(self._starts, self._ends, strict=True))

    def above(self, position: int) -> list[tuple[int, int]]:
        """List the ranges from *position* up."""
        pairs = zip(self._starts, self._ends, strict=True)
        return [(max(start, position), end) for start, end in pairs if end > position]

    @property
    def end(self) -> int:
        """One past the highest finished position; 0 when there is none."""
        return self._ends[-1] if self._ends else 0

    @classmethod
    def decode(cls, committed: int, metadata: str) -> "Finished":
        """Read commit metadata; what is not ours or is damaged means that nothing is known."""
        if not metadata.startswith(MAGIC):
            return cls()
        try:
            runs = _varints(b64decode(metadata[len(MAGIC) :], validate=True))
        except (binascii.Error, ValueError):
            return cls()
        if len(runs) % 2:
            return cls()
        ranges: list[tuple[int, int]] = []
        cursor = committed
        for unfinished, finished in zip(runs[::2], runs[1::2], strict=True):
            start = cursor + unfinished
            cursor = start + finished
            if cursor > FARTHEST:
                return cls()
            ranges.append((start, cursor))
        return cls(ranges)


def _varint(value: int) -> bytes:
    if value < CONTINUED:
        return ONE_BYTE[value]
    out = bytearray()
    while value >= CONTINUED:
        out.append(value & LOW_BITS | CONTINUED)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varints(data: bytes) -> list[int]:
    values: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & LOW_BITS) << shift
        if byte & CONTINUED:
            shift += 7
            if shift > MAX_SHIFT:
                raise ValueError("a run is longer than 64 bits")
        else:
            values.append(value)
            value = shift = 0
    if shift:
        raise ValueError("the last run is cut off")
    return values

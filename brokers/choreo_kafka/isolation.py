"""Reading on around a record that cannot be unpacked, without losing one that can (K16, K32)."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from choreo.broker import Notice
from choreo_kafka.client import RawConsumer, Record, spoilt_record
from choreo_kafka.stream import Stream

STRIKES = 3
"""Times a position must fail to unpack before it is skipped: a network may damage it, too."""
ISOLATED_SECONDS = 5.0
"""How long partitions are read one by one after a record could not be unpacked."""


class Isolation:
    """Reads partitions one by one for a while, so that one that is spoilt harms no other.

    An exception while records are unpacked throws away what was taken from other partitions in the
    same call and leaves the client's positions anywhere.  So after one, every position is set back
    to what we have, and each partition is asked alone; the spoilt one record by record, until the
    position that cannot be read is found, and after STRIKES skipped.  Nothing tells how long a
    spoilt batch is: it is passed position by position, and what follows it is not missed.
    """

    def __init__(self, raw: RawConsumer, notice: Callable[[Notice], None]) -> None:
        self._raw = raw
        self._notice = notice
        self._until = 0.0
        self._strikes: Counter[str] = Counter()
        self._skipped: dict[str, tuple[int, str]] = {}

    def begin(self, now: float) -> None:
        """Read one by one from *now* on (seconds, monotonic)."""
        self._until = now + ISOLATED_SECONDS

    def active(self, now: float) -> bool:
        """Say whether partitions are to be read one by one."""
        return now < self._until

    async def fetch(
        self, streams: Iterable[Stream], limit: int, now: float
    ) -> list[tuple[Stream, Sequence[Record]]]:
        """Read at most *limit* records of each stream; raise what no record is to blame for."""
        fetched: list[tuple[Stream, Sequence[Record]]] = []
        for stream in streams:
            most = 1 if self._strikes[stream.name] else limit
            try:
                got = await self._raw.getmany(stream.place, timeout_ms=20, max_records=most)
            except Exception as error:
                if not spoilt_record(error):
                    raise
                self.begin(now)
                self._strike(stream, error)
                continue
            if records := got.get(stream.place):
                self._passed(stream, records[0].offset)
                fetched.append((stream, records))
        return fetched

    def _strike(self, stream: Stream, error: Exception) -> None:
        name = stream.name
        self._strikes[name] += 1
        if self._strikes[name] >= STRIKES:
            self._skipped.setdefault(name, (stream.fetched, repr(error)))
            stream.fetched += 1
        self._raw.seek(stream.place, stream.fetched)

    def _passed(self, stream: Stream, offset: int) -> None:
        skipped = self._skipped.pop(stream.name, None)
        if skipped is not None:
            start, reason = skipped
            del self._strikes[stream.name]
            self._notice(
                Notice(
                    kind="gap",
                    text=f"{stream.name}: {start} to {offset - 1} cannot be read: {reason}",
                    streams=(stream.name,),
                    missing=offset - start,
                )
            )

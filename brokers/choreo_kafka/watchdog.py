"""When a client object that looks alive must be replaced (K18, K19): decides, and does nothing."""

from collections.abc import Iterable, Mapping

MAX_ERRORS = 3
"""Errors in a row, none of them about one record, that make a client object broken."""


class Watchdog:
    """Watches signs of progress; says what is wrong once there has been none for *patience*.

    All times are seconds of one monotonic clock.
    """

    def __init__(self, *, patience: float, join_patience: float, now: float) -> None:
        self._patience = patience
        self._join_patience = join_patience
        self._signs: dict[str, tuple[object, float]] = {}
        self._joining_since: float | None = now
        self._round_at = now
        self._errors = 0
        self._last_error = ""
        self.healthy = False
        """Whether there was any progress at all."""

    def joining(self, now: float) -> None:
        """Note that there is no assignment to work on."""
        self._joining_since = now
        self._signs.clear()

    def joined(self) -> None:
        """Note that the assignment, empty or not, is being read."""
        self._joining_since = None

    def round(self, now: float) -> None:
        """Note that a poll of the client returned."""
        self._round_at = now
        self._errors = 0

    def error(self, text: str, now: float) -> None:
        """Note that a poll of the client failed, and not because of a record."""
        self._round_at = now
        self._errors += 1
        self._last_error = text

    def watch(self, signs: Mapping[str, object], rested: Iterable[str], now: float) -> None:
        """Note a sign per stream that is being read, which changes with every answer to a fetch."""
        for stream in rested:
            self._signs.pop(stream, None)
        for stream, sign in signs.items():
            known = self._signs.get(stream)
            if known is None:
                self._signs[stream] = (sign, now)
            elif known[0] != sign:
                self._signs[stream] = (sign, now)
                self.healthy = True

    def verdict(self, now: float) -> str | None:
        """Say why the client object must be replaced, or None."""
        if self._errors >= MAX_ERRORS:
            return f"{self._errors} errors in a row, the last {self._last_error}"
        if self._joining_since is not None:
            waited = now - self._joining_since
            if waited > self._join_patience:
                return f"not in the group after {waited:.0f} s"
            return None
        if now - self._round_at > self._patience:
            return f"no poll returned for {now - self._round_at:.0f} s"
        stalled = [name for name, (_, at) in self._signs.items() if now - at > self._patience]
        if stalled:
            return f"no answer to a fetch for {self._patience:g} s on {len(stalled)} streams"
        return None

"""How fast letters are sent: no faster on average than somebody said, however many there are."""

from dataclasses import dataclass

SLICES = 4
"""Parts of a second in which the letters of a second are sent."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Letters a second; None is as fast as the broker takes them."""

    rate: float | None = None

    def most(self, limit: int) -> int:
        """Tell how many may go at once, *limit* at most."""
        return limit if self.rate is None else max(1, min(limit, int(self.rate / SLICES)))

    def wait(self, sent: int, elapsed: float) -> float:
        """Tell the seconds to wait when *sent* have gone in *elapsed* seconds."""
        return 0.0 if self.rate is None else max(0.0, sent / self.rate - elapsed)

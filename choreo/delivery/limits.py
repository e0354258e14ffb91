"""How much one service takes on at a time."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one worker."""

    concurrency: int = 100
    """Handlers running at once."""
    prefetch: int = 500
    """Deliveries that may be ready or running; more are asked for when there are fewer."""
    max_unsettled: int = 5_000
    """Deliveries held in all, those behind another of their key or at rest included."""
    max_unsettled_bytes: int = 64 * 1024 * 1024
    outage_keys: int = 5
    """Keys that must fail alike for a handler to rest; 0 never lets one rest."""
    outage_limit: timedelta = timedelta(days=1)
    """Time after which a handler that rests is tried like any other."""
    grace: timedelta = timedelta(seconds=5)
    """How long a cancelled handler may take to end before it is abandoned."""
    finish_begun: bool = False
    """Draining finishes all that lies before something begun: the broker does not remember what is
    settled above something unsettled, and would hand it over again."""

"""How long finished events are remembered: at least as long as the broker may hand them over again.

An inbox that forgets too early handles an old event twice (I7): a group that is set back to the
beginning of its topics, a session that wakes after a week.
"""

from datetime import timedelta

from choreo.errors import ConfigurationError

SPARE = timedelta(days=1)
"""Added to what the broker says: what it deletes, it deletes late."""


def retention(
    wanted: timedelta | None, horizon: timedelta | None, topic: str | None = None
) -> timedelta | None:
    """Say after how long an end may be forgotten; None never.

    *wanted* is the user's setting, *horizon* the broker's answer (None if it does not tell,
    ``timedelta.max`` for ever), which is that of *topic*. Raises ConfigurationError if *wanted* is
    too short.
    """
    if wanted is None:
        if horizon is None or horizon > timedelta.max - SPARE:
            return None
        return horizon + SPARE
    if horizon is not None and wanted < horizon:
        kept = "for ever" if horizon == timedelta.max else f"for {horizon}"
        where = "" if topic is None else f", so long does it keep {topic}"
        raise ConfigurationError(
            f"inbox_retention={wanted}: the broker may hand an event over again {kept}{where}, "
            "and one that was forgotten is handled twice: leave the option out, or let topics keep "
            "less"
        )
    return wanted

"""The events of the storms."""

from choreo import Event


class Asked(Event, topic="asked", key="key"):
    """What a test publishes: *number* grows within a key."""

    key: str
    number: int


class Answered(Event, topic="answered", key="key"):
    """What a handler makes of it."""

    key: str
    number: int

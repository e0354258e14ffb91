"""Which versions of a contract must be able to read which."""

from enum import StrEnum


class Direction(StrEnum):
    """Who reads whom."""

    BACKWARD = "backward"
    """The new schema reads what the old one wrote."""
    FORWARD = "forward"
    """The old schema reads what the new one writes."""


class Mode(StrEnum):
    """What is demanded of a new version."""

    NONE = "none"
    BACKWARD = "backward"
    BACKWARD_TRANSITIVE = "backward_transitive"
    FORWARD = "forward"
    FORWARD_TRANSITIVE = "forward_transitive"
    FULL = "full"
    FULL_TRANSITIVE = "full_transitive"

    @property
    def directions(self) -> frozenset[Direction]:
        """Who has to be able to read whom."""
        return _DEMANDED[self.partition("_")[0]]

    @property
    def transitive(self) -> bool:
        """Tell whether all earlier versions count, and not the last one only."""
        return self.endswith("transitive")


_DEMANDED = {
    "none": frozenset[Direction](),
    "backward": frozenset((Direction.BACKWARD,)),
    "forward": frozenset((Direction.FORWARD,)),
    "full": frozenset(Direction),
}

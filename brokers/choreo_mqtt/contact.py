"""Whether anything can come from the broker, and who is to be told when that changes."""

from typing import Literal, Protocol


class Tell(Protocol):
    """Who is told."""

    def __call__(
        self, kind: Literal["connection_lost", "reconnected"], text: str, unheard: float = 0.0, /
    ) -> None:
        """Hear that contact is lost, or found again."""
        ...


class Contact:
    """Tells once that it is lost, and once that it is there again, however often it changes."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._there = self._told = False

    def lost(self, text: str, unheard: float = 0.0) -> None:
        """Note that nothing can come, as *text* says, and has not for *unheard* seconds."""
        if self._there and not self._told:
            self._told = True
            self._tell("connection_lost", text, unheard)
        self._there = False

    def found(self, *, busy: bool) -> None:
        """Note that all can come; that is told once the owner is not *busy* with the past."""
        self._there = True
        self.rested(busy=busy)

    def rested(self, *, busy: bool = False) -> None:
        """Note that the owner is not busy any more."""
        if self._there and self._told and not busy:
            self._told = False
            self._tell("reconnected", "connected to the broker again")

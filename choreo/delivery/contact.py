"""Whether anything can come from the broker, and who is to be told when that changes."""

from typing import Literal, Protocol


class Tell(Protocol):
    """Who is told."""

    def __call__(
        self, kind: Literal["connection_lost", "reconnected"], text: str, unheard: float, /
    ) -> None:
        """Hear that contact is lost, or found again."""
        ...


class Contact:
    """Tells once that it is lost, and once that it is there again, however often it changes."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._there = self._told = self._held = False

    def begun(self) -> None:
        """Note that there is contact, unless it was lost, which only finding it again ends."""
        self._there = self._there or not self._told

    def lost(self, text: str, unheard: float = 0.0) -> None:
        """Note that nothing can come, as *text* says, and has not for *unheard* seconds."""
        if self._there and not self._told:
            self._told = True
            self._tell("connection_lost", text, unheard)
        self._there = False

    def found(self) -> None:
        """Note that all can come."""
        self._there = True
        self._judge()

    def hold(self) -> None:
        """Tell of no return before *rested*: what comes is not handed over yet."""
        self._held = True

    def rested(self) -> None:
        """Hand over what comes, again."""
        self._held = False
        self._judge()

    def _judge(self) -> None:
        if self._there and self._told and not self._held:
            self._told = False
            self._tell("reconnected", "connected to the broker again", 0.0)

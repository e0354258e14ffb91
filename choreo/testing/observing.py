"""What stand-ins of the outside tell the world that they are called in."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Audience(Protocol):
    """A world that is told."""

    def observed(self, text: str, key: str, /) -> None:
        """Write down that *text* happened to *key*."""
        ...


AUDIENCE: ContextVar[Audience | None] = ContextVar("audience", default=None)
"""The world that code runs in."""


def observe(text: str, key: object = "") -> None:
    """Tell the world that runs, of a harness or a simulation, *text* about *key*; else do nothing.

    For stand-ins of what is outside (a bank, a mail server), whose effects no store can roll back.
    """
    audience = AUDIENCE.get()
    if audience is not None:
        audience.observed(text, str(key))


@contextmanager
def listening(audience: Audience) -> Generator[None]:
    """Have *audience* told by all tasks that are begun within the block."""
    token = AUDIENCE.set(audience)
    try:
        yield
    finally:
        AUDIENCE.reset(token)

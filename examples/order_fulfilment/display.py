"""What a person sees of a run, as plain lines."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from examples.order_fulfilment.outcomes import Outcomes

Advance = Callable[[int], None]
"""Shows that so many more are done."""


class Display(Protocol):
    """Somewhere to show a run."""

    def progress(self, total: int, /) -> AbstractContextManager[Advance]:
        """Show how many of *total* records have come to their end."""
        ...

    def table(self, result: Outcomes, /) -> None:
        """Show how they ended."""
        ...


class PlainDisplay:
    """Prints lines."""

    @contextmanager
    def progress(self, total: int, /) -> Generator[Advance]:
        """Print a line each time."""
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            print(f"{done} of {total} records")

        yield advance

    def table(self, result: Outcomes, /) -> None:
        """Print a line for each outcome."""
        for name, count in [*result.ends.items(), ("records fed", result.fed)]:
            print(f"{name:>22} {count:6}")

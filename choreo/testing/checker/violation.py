"""One thing that is not as promised."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from choreo.testing.checker.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong, and with which event, key and stream, so that its story can be found."""

    text: str
    id: str = ""
    handler: str = ""
    key: str = ""
    tp: str = ""
    weight: float = 0.0
    """Of several, the lightest is told first: it is the easiest to understand."""


Property = Callable[[Evidence], Iterator[Violation]]
"""Looks at a run and tells what is wrong with it; its name is that of the class of errors."""

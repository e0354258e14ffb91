"""Pages before they are Markdown or HTML: what is said, and nothing of how it looks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """A way to another page, by its name without an ending."""

    text: str
    to: str


@dataclass(frozen=True, slots=True)
class Code:
    """Something to be read letter by letter."""

    text: str


@dataclass(frozen=True, slots=True)
class Badge:
    """A word that stands out."""

    text: str


Inline = str | Link | Code | Badge
Cell = Sequence[Inline]
"""What stands in one place, one after the other."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The beginning of a part."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Something said."""

    parts: Cell


@dataclass(frozen=True, slots=True)
class Note:
    """Something that must not be missed."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below names of columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Listing:
    """Something long to be read letter by letter, which may be folded away."""

    summary: str
    text: str


Block = Heading | Paragraph | Note | Table | Listing


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    name: str
    """Path without an ending."""
    kind: str
    """What sort of page it is, in a word; empty for the first."""
    title: str
    blocks: Sequence[Block]


def slug(text: str) -> str:
    """Make a file's name of *text*, whatever it is."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).strip(".") or "_"


def commas(parts: Sequence[Inline]) -> Cell:
    """Put commas between *parts*; a dash for nothing."""
    found: list[Inline] = []
    for part in parts:
        found += [", ", part] if found else [part]
    return found or ["–"]

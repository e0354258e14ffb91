"""The pages a reader sees, cut into what can be run and what can be looked up."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its text and the line it begins at."""

    language: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """Everything outside fenced blocks."""
        return FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> Iterator[Block]:
        """Yield the fenced blocks in one of *languages*, in order."""
        for found in FENCE.finditer(self.text):
            if found[1] in languages:
                yield Block(found[1], found[2], self.text.count("\n", 0, found.start(2)) + 1)

    def links(self) -> Iterator[str]:
        """Yield the targets of links to other files of the tree."""
        for found in LINK.finditer(self.prose):
            if "://" not in found[1]:
                yield found[1]


def pages() -> list[Page]:
    """List the README and everything under docs/."""
    return [Page(ROOT / "README.md"), *map(Page, sorted((ROOT / "docs").rglob("*.md")))]

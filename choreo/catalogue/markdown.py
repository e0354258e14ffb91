"""Pages as Markdown, whatever their words hold."""

import posixpath
import re
from collections.abc import Sequence

from choreo.catalogue.page import (
    Badge,
    Block,
    Cell,
    Code,
    Heading,
    Inline,
    Link,
    Listing,
    Note,
    Page,
    Paragraph,
    Table,
)

_MEANING = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$-])")
_SPACE = re.compile(r"\s+")
_FENCE = "```"


def markdown(page: Page) -> str:
    """Write *page*."""
    parts = [f"# {_text(page.title)}"]
    if page.kind:
        parts.append(f"{page.kind} in the [catalogue]({_way(page, 'index')})")
    parts += [_block(page, block) for block in page.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(page: Page, block: Block) -> str:
    match block:
        case Heading():
            return f"## {_text(block.text)}"
        case Paragraph():
            return _cell(page, block.parts)
        case Note():
            return f"> **Note:** {_text(block.text)}"
        case Listing():
            return f"{_text(block.summary)}:\n\n{_fenced(block.text)}"
        case Table():
            return _table(page, block)


def _table(page: Page, table: Table) -> str:
    if not table.rows:
        return "Nobody." if "service" in table.columns else "Nothing."
    lines = [[_text(column) for column in table.columns], ["---"] * len(table.columns)]
    lines += [[_cell(page, [_barred(part) for part in cell]) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _barred(part: Inline) -> Inline:
    """Take the bars of code for no borders: a table is cut up before code is looked for."""
    return Code(part.text.replace("|", "\\|")) if isinstance(part, Code) else part


def _cell(page: Page, cell: Cell) -> str:
    return "".join(_inline(page, part) for part in cell)


def _inline(page: Page, part: Inline) -> str:
    match part:
        case Link():
            return f"[{_text(part.text)}]({_way(page, part.to)})"
        case Code():
            return _code(part.text)
        case Badge():
            return f"**{_text(part.text)}**"
        case str():
            return _text(part)


def _text(text: str) -> str:
    return _MEANING.sub(r"\\\1", _SPACE.sub(" ", text))


def _code(text: str) -> str:
    """Write code within a line: in more backticks than it has in a row."""
    flat = _SPACE.sub(" ", text)
    ticks = "`" * (_longest(flat) + 1)
    padding = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{ticks}{padding}{flat}{padding}{ticks}" if flat else ""


def _fenced(text: str) -> str:
    fence = "`" * max(len(_FENCE), _longest(text) + 1)
    return f"{fence}json\n{text}\n{fence}"


def _longest(text: str) -> int:
    runs: Sequence[str] = re.findall(r"`+", text)
    return max(map(len, runs), default=0)


def _way(page: Page, to: str) -> str:
    return posixpath.relpath(f"{to}.md", posixpath.dirname(page.name) or ".")

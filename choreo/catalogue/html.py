"""Pages as static HTML: no script, no font, nothing from elsewhere."""

import posixpath
from collections.abc import Iterator, Sequence
from html import escape

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

STYLESHEET = """\
:root {
  color-scheme: light dark;
  --ink: #1c2530; --soft: #5b6875; --line: #dfe4ea; --paper: #ffffff; --side: #f5f7f9;
  --mark: #0b5fa5; --code: #f0f3f6; --warn: #8a4b00; --warned: #fff4e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e3e8ee; --soft: #9aa7b4; --line: #2e3842; --paper: #14191f; --side: #1a2027;
    --mark: #6fb6f2; --code: #212930; --warn: #ffc46b; --warned: #33270f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; display: grid; grid-template-columns: 15rem minmax(0, 1fr); min-height: 100vh;
  font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
}
nav { background: var(--side); border-right: 1px solid var(--line); padding: 1.5rem 1.25rem; }
nav a { display: block; padding: .15rem 0; overflow-wrap: anywhere; }
nav a[aria-current] { font-weight: 600; color: var(--ink); }
nav h2 { font-size: .75rem; text-transform: uppercase; letter-spacing: .06em; color: var(--soft);
  margin: 1.5rem 0 .4rem; border: 0; padding: 0; }
main { padding: 2rem 2.5rem 4rem; max-width: 80rem; }
a { color: var(--mark); text-decoration: none; }
a:hover { text-decoration: underline; }
h1 { margin: 0 0 1rem; font-size: 1.9rem; overflow-wrap: anywhere; }
.kind { margin: 0; color: var(--soft); font-size: .8rem; text-transform: uppercase;
  letter-spacing: .06em; }
h2 { margin: 2.25rem 0 .75rem; font-size: 1.2rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; margin: .75rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .8rem;
  border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th { font-weight: 600; color: var(--soft); background: var(--side); white-space: nowrap; }
.facts td:first-child { color: var(--soft); white-space: nowrap; width: 12rem; }
code, pre { font: .88em/1.5 ui-monospace, monospace; background: var(--code);
  border-radius: .3rem; }
code { padding: .1em .35em; overflow-wrap: break-word; }
pre { padding: 1rem; overflow-x: auto; margin: .5rem 0 0; }
summary { cursor: pointer; color: var(--mark); }
.badge { background: var(--warned); color: var(--warn); border-radius: 1rem; padding: .05rem .6rem;
  font-size: .78rem; white-space: nowrap; }
.note { background: var(--warned); color: var(--warn); border-radius: .5rem;
  padding: .7rem 1rem; margin: 0 0 1rem; }
.none { color: var(--soft); }
@media (max-width: 50rem) {
  body { display: block; }
  nav { border-right: 0; border-bottom: 1px solid var(--line); }
  main { padding: 1.5rem 1.25rem; }
}
"""
_POLICY = "default-src 'none'; style-src 'self'"


def html(page: Page, every: Sequence[Page]) -> str:
    """Write *page*, with the way to *every* other."""
    home = every[0]
    title = page.title if page is home else f"{page.title} – {home.title}"
    kind = f'<p class="kind">{escape(page.kind)}</p>\n' if page.kind else ""
    body = "\n".join(_block(page, block) for block in page.blocks)
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f'<link rel="stylesheet" href="{_way(page, "style.css")}">\n</head>\n<body>\n'
        f"<nav>\n{''.join(_navigation(page, every))}</nav>\n"
        f"<main>\n{kind}<h1>{escape(page.title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _navigation(page: Page, every: Sequence[Page]) -> Iterator[str]:
    kind = ""
    for other in every:
        if other.kind != kind:
            kind = other.kind
            yield f"<h2>{escape(kind)}s</h2>\n"
        here = ' aria-current="page"' if other is page else ""
        yield f'<a href="{_way(page, f"{other.name}.html")}"{here}>{escape(other.title)}</a>\n'


def _block(page: Page, block: Block) -> str:
    match block:
        case Heading():
            return f"<h2>{escape(block.text)}</h2>"
        case Paragraph():
            return f"<p>{_cell(page, block.parts)}</p>"
        case Note():
            return f'<p class="note">{escape(block.text)}</p>'
        case Listing():
            return (
                f"<details><summary>{escape(block.summary)}</summary>"
                f"<pre>{escape(block.text)}</pre></details>"
            )
        case Table():
            return _table(page, block)


def _table(page: Page, table: Table) -> str:
    if not table.rows:
        return f'<p class="none">{"Nobody." if "service" in table.columns else "Nothing."}</p>'
    rows = "".join(
        f"<tr>{''.join(f'<td>{_cell(page, cell)}</td>' for cell in row)}</tr>\n"
        for row in table.rows
    )
    if not any(table.columns):
        return f'<div class="wide"><table class="facts">\n{rows}</table></div>'
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{rows}</table></div>'


def _cell(page: Page, cell: Cell) -> str:
    return "".join(_inline(page, part) for part in cell)


def _inline(page: Page, part: Inline) -> str:
    match part:
        case Link():
            return f'<a href="{_way(page, f"{part.to}.html")}">{escape(part.text)}</a>'
        case Code():
            return f"<code>{escape(part.text)}</code>"
        case Badge():
            return f'<span class="badge">{escape(part.text)}</span>'
        case str():
            return escape(part)


def _way(page: Page, to: str) -> str:
    return posixpath.relpath(to, posixpath.dirname(page.name) or ".")

"""What a command writes: tables for people, one JSON value a line for programs."""

import json
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from choreo.cli.description import HandlerDescription, RetryDescription, ServiceDescription
from choreo.telemetry.text import printable

WIDTH_WITHOUT_TERMINAL = 160
"""Columns where nobody looks: logs and files are read by scrolling."""
FOR_EVER = 10**9
"""Attempts that nobody lives to see the end of."""


def out() -> Console:
    """Return the console for results; markup is off because events write what they like (T4)."""
    return _console(stderr=False)


def err() -> Console:
    """Return the console for what is said beside the results."""
    return _console(stderr=True)


def print_json(value: object) -> None:
    """Write *value* as one line of ASCII JSON on stdout."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    # DEL is the one control character that JSON leaves alone.
    sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")
    sys.stdout.flush()


def print_line(text: str) -> None:
    """Write one line on stdout, whatever *text* holds."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def cell(value: object) -> Text:
    """Make a table's cell of text from outside."""
    return Text(printable(str(value)))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Lay out *rows*; no cell is read as markup."""
    result = Table(title=Text(printable(title)), title_justify="left", title_style="bold")
    for column in columns:
        result.add_column(column, overflow="fold")
    for row in rows:
        result.add_row(*(cell(value) for value in row))
    return result


def service_table(description: ServiceDescription) -> Table:
    """Lay out one service: the table that ``run`` starts with."""
    return table(
        _title(description),
        ("handler", "event", "topic", "emits", "order", "retry", "deadline", "guarantee"),
        [_row(handler) for handler in description.handlers],
    )


def _title(description: ServiceDescription) -> str:
    books = "" if description.store is None else f", books in {description.store}"
    return f"{description.service} on {description.broker}{books}"


def pairs(values: Mapping[str, object]) -> Table:
    """Lay out names and values, one pair a line."""
    result = Table.grid(padding=(0, 2))
    result.add_column(style="dim", no_wrap=True)
    result.add_column(overflow="fold")
    for name, value in values.items():
        result.add_row(cell(name), cell(value))
    return result


def _row(handler: HandlerDescription) -> Sequence[object]:
    return (
        handler.handler,
        handler.type,
        handler.topic,
        ", ".join(handler.emits) or "–",
        handler.order,
        _retry(handler.retry),
        f"{handler.deadline_seconds:g} s",
        handler.guarantee,
    )


def _retry(retry: RetryDescription) -> str:
    if retry.attempts == 1:
        return "none"
    attempts = "for ever" if retry.attempts >= FOR_EVER else f"{retry.attempts} attempts"
    return (
        f"{attempts}, {retry.initial_seconds:g} s × {retry.multiplier:g} "
        f"up to {retry.maximum_seconds:g} s"
    )


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)

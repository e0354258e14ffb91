"""What the pages say about the tree is so."""

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Protocol, cast

import pytest
import typer

from choreo.cli import application
from choreo.testing.checker.verdict import PROPERTIES
from tests.docs import tables
from tests.docs.pages import ROOT, Page, pages

PAGES = pages()
README = Page(ROOT / "README.md")
GUARANTEES = Page(ROOT / "docs" / "guarantees.md")
CLI = Page(ROOT / "docs" / "cli.md")
EVIDENCE = Page(ROOT / "docs" / "evidence.md")
ANOMALIES = ("tests/checker/test_properties.py", "tests/checker/test_ways.py")
UNNAMED = r'there is nothing to try|"|`make prove`|^\| (fault|rule|what it can do) \|'
"""What stands in a row of evidence that names no test."""
NAMED_TEST = re.compile(r"`((?:tests|choreo/testing/contract)/[\w/]+\.py)::(test_\w+)`")
TWO_SENTENCES = re.compile(r"[a-zäöü)`]\. [A-Z`]")


class Group(Protocol):
    """What is used of a command that has subcommands."""

    commands: Mapping[str, object]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_tree_leads_somewhere(page: Page) -> None:
    broken = [link for link in page.links() if not (page.path.parent / link).exists()]

    assert broken == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(ROOT / link).resolve() for link in README.links()}

    assert [page.name for page in PAGES[1:] if page.path.resolve() not in linked] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_line_holds_one_sentence(page: Page) -> None:
    lines = [line for line in page.prose.splitlines() if not line.startswith("|")]

    assert [line for line in lines if TWO_SENTENCES.search(line)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Page) -> None:
    missing = [
        f"{file}::{name}"
        for file, name in NAMED_TEST.findall(page.text)
        if name not in functions_in(file)
    ]

    assert missing == []


def test_the_page_of_the_command_line_names_every_command() -> None:
    table = "\n".join(line for line in CLI.text.splitlines() if line.startswith("| `choreo "))
    commands = cast("Group", typer.main.get_command(application.app)).commands
    groups = [f"choreo {name}" for name in commands]
    within = [name for group in commands.values() for name in getattr(group, "commands", {})]

    assert [name for name in groups if f"`{name}" not in table] == []
    assert [name for name in within if not re.search(rf"[ `]{name}[ `]", table)] == []


def test_every_row_of_the_ledger_names_a_test() -> None:
    rows = [
        line for line in GUARANTEES.text.splitlines() if line.startswith("| ") and "---" not in line
    ]
    promises = [row for row in rows if not row.startswith("| promise")]

    assert len(promises) > 20
    assert [row for row in promises if not NAMED_TEST.search(row)] == []


def test_every_fault_and_every_rule_has_its_evidence() -> None:
    rows = [line for line in EVIDENCE.text.splitlines() if line.startswith("| ")]
    faults = [row for row in rows if re.match(r"\| F\d", row)]
    without = [row for row in rows if not NAMED_TEST.search(row) and "---" not in row]
    anomalies = "".join((ROOT / file).read_text(encoding="utf-8") for file in ANOMALIES)
    quoted = [title for row in rows for title in re.findall(r'"([^"]+)"', row)]

    assert [row.split(":")[0] for row in faults] == [f"| F{number}" for number in range(1, 28)]
    assert [name for name in PROPERTIES if not any(f"| `{name}`:" in row for row in rows)] == []
    assert [title for title in quoted if f'"{title}"' not in anomalies] == []
    assert [row for row in without if not re.search(UNNAMED, row)] == []


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("README.md", tables.settings),
        ("docs/brokers.md", tables.kafka_options),
        ("docs/brokers.md", tables.mqtt_options),
        ("docs/stores.md", tables.store_options),
        ("docs/telemetry.md", tables.metrics),
        ("docs/failures.md", tables.reasons),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_table_says_what_the_code_says(page: str, table: Callable[[], Iterable[str]]) -> None:
    """What differs is printed by `python -m tests.docs.tables`."""
    lines = Page(ROOT / page).text.splitlines()

    assert [row for row in table() if row not in lines] == []


def test_the_first_screen_holds_a_service_and_the_two_commands() -> None:
    screen = "\n".join(README.text.splitlines()[:40])
    service = next(README.blocks("python"))

    assert "make demo" in screen
    assert "make test" in screen
    assert len([line for line in service.text.splitlines() if line]) <= 15


def test_the_readme_counts_the_orders_of_the_example() -> None:
    count = len((ROOT / "examples/order_fulfilment/orders.jsonl").read_bytes().splitlines())

    assert f"fulfil {count} orders" in README.text


@cache
def functions_in(file: str) -> frozenset[str]:
    """Name the test functions of a file, those in classes too."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )

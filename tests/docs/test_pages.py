"""What the pages say about the tree is so."""

import ast
import re
from functools import cache

import pytest

from choreo.reason import Reason
from choreo.settings import Settings
from tests.docs.pages import ROOT, Page, pages

PAGES = pages()
GUARANTEES = Page(ROOT / "docs" / "guarantees.md")
NAMED_TEST = re.compile(r"`((?:tests|choreo/testing/contract)/[\w/]+\.py)::(test_\w+)`")
TWO_SENTENCES = re.compile(r"[a-zäöü)`]\. [A-Z`]")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_tree_leads_somewhere(page: Page) -> None:
    broken = [link for link in page.links() if not (page.path.parent / link).exists()]

    assert broken == []


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


def test_every_row_of_the_ledger_names_a_test() -> None:
    rows = [
        line for line in GUARANTEES.text.splitlines() if line.startswith("| ") and "---" not in line
    ]
    promises = [row for row in rows if not row.startswith("| promise")]

    assert len(promises) > 20
    assert [row for row in promises if not NAMED_TEST.search(row)] == []


def test_the_readme_lists_every_setting_with_its_default_and_meaning() -> None:
    table = [line for line in Page(ROOT / "README.md").text.splitlines() if line.startswith("| `")]

    for name, field in Settings.model_fields.items():
        row = f"| `{name}` | `{Settings().model_dump(mode='json')[name]}` | {field.description} |"
        assert row in table


def test_the_failure_page_lists_every_reason_for_a_dead_letter() -> None:
    text = Page(ROOT / "docs" / "failures.md").text

    assert [reason.value for reason in Reason if f"| `{reason.value}` |" not in text] == []


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

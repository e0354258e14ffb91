"""Every snippet in the README and the docs runs, and every command in them exists."""

import asyncio
import importlib.util
import inspect
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from choreo.cli import application
from choreo.settings import Settings
from choreo.testing import plugin
from tests.docs.pages import ROOT, Block, Page, pages

PAGES = pages()
TARGET = re.compile(r"^([\w.-]+):", re.MULTILINE)


@pytest.mark.timeout(60)  # some pages simulate a hundred worlds
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_python_runs_from_top_to_bottom(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks of a page share one module; its functions named test_… are called."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType(f"snippets_of_{page.path.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    for block in page.blocks("python"):
        exec(compile(padded(block), page.name, "exec"), module.__dict__)  # noqa: S102 -- our docs

    for name, function in list(vars(module).items()):
        if name.startswith("test_"):
            result = function()
            if inspect.iscoroutine(result):
                asyncio.run(result)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_the_page_exist(page: Page) -> None:
    for block in page.blocks("sh"):
        for line in commands(block):
            check_command(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_settings_of_the_page_are_settings(page: Page) -> None:
    for block in page.blocks("toml"):
        Settings.model_validate(tomllib.loads(block.text)["tool"]["choreo"])


def test_a_snippet_is_called_python_sh_toml_json_or_text() -> None:
    """So that none escapes because of its fence."""
    known = {"python", "sh", "toml", "json", "text"}

    fences = {
        (page.name, found)
        for page in PAGES
        for found in re.findall(r"^```(\S*)$", page.text, re.MULTILINE)
    }

    assert {(name, fence) for name, fence in fences if fence and fence not in known} == set()


def padded(block: Block) -> str:
    """Keep line numbers, so that a traceback points into the page."""
    return "\n" * (block.line - 1) + block.text


def commands(block: Block) -> Iterator[str]:
    for line in block.text.replace("\\\n", " ").splitlines():
        text = line.partition(" #")[0].strip()
        if text and not text.startswith("#"):
            yield text


def check_command(line: str) -> None:
    words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
    if not words or words[0] == "export":
        return
    match words:
        case ["make", *targets]:
            known = set(TARGET.findall((ROOT / "Makefile").read_text()))
            assert set(targets) <= known, line
        case ["choreo", *arguments]:
            check_choreo(arguments)
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module), line
        case ["pytest", *arguments]:
            parser = pytest.Parser(_ispytest=True)
            plugin.pytest_addoption(parser)
            parser.parse(arguments)
        case ["pip", "install", requirement]:
            check_extras(requirement)
        case ["docker", "compose", *_]:
            assert (ROOT / "docker-compose.yml").is_file()
        case _:
            pytest.fail(f"nobody knows whether this works: {line}")


def check_choreo(arguments: list[str]) -> None:
    """Ask the subcommand for help, and find every option there."""
    groups = {"catalogue", "contracts", "dlq", "outbox", "parked", "registry", "store"}
    subcommand = arguments[: 2 if arguments[0] in groups else 1]
    result = CliRunner().invoke(application.app, [*subcommand, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    given = [word.partition("=")[0] for word in arguments if re.match("--?[a-z]", word)]
    assert [option for option in given if option not in result.output] == []


def check_extras(requirement: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name, _, extras = requirement.rstrip("]").partition("[")
    assert name == project["name"]
    assert set(filter(None, extras.split(","))) <= set(project["optional-dependencies"])

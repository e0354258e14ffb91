"""The tree keeps its shape: no import cycles, no long files, no long functions."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("choreo", "brokers", "registries", "stores", "examples", "bench", "tests")
LONGEST_FILE = 350
LONGEST_FUNCTION = 40


@pytest.mark.parametrize(
    "package",
    ["choreo", "choreo_kafka", "choreo_memory", "choreo_mqtt", "choreo_registry", "choreo_sql"],
)
def test_no_module_imports_itself_by_way_of_others(package: str) -> None:
    """Imports that only type checkers see count: a reader sees them too."""
    graph = grimp.build_graph(package, exclude_type_checking_imports=False, cache_dir=None)
    order = TopologicalSorter(
        {
            module: graph.find_modules_directly_imported_by(module)
            for module in sorted(graph.modules)
        }
    )

    try:
        order.prepare()
    except CycleError as cycle:
        pytest.fail(" → ".join(cycle.args[1]))


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in python_files()}

    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    too_long = [
        f"{file.relative_to(ROOT)}:{function.lineno} {function.name} has {lines(function)} lines"
        for file in python_files()
        for function in functions(file)
        if lines(function) > LONGEST_FUNCTION
    ]

    assert too_long == []


def python_files() -> Iterator[Path]:
    for source in SOURCES:
        yield from (ROOT / source).rglob("*.py")


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        # No function is defined within an expression, and most nodes are some.
        waiting += (each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.expr))


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1

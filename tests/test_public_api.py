"""What `import choreo` offers, and nothing by accident."""

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import choreo
import choreo.testing
from choreo import Event, errors, foreign

INTERNAL = {"Locator"}
"""An alias for annotations within."""


@pytest.mark.parametrize("package", [choreo, choreo.testing])
def test_what_is_exported_is_sorted_complete_and_what_type_checkers_read(
    package: ModuleType,
) -> None:
    stub = f"{package.__file__}i"

    assert package.__all__ == sorted(package.__all__)
    assert set(package.__all__) == names_imported_by(stub) == set(names_in_all(stub))
    assert dir(package) == package.__all__
    assert all(getattr(package, name) for name in package.__all__)


@pytest.mark.parametrize("name", choreo.__all__)
def test_every_name_is_what_its_home_defines(name: str) -> None:
    value = getattr(choreo, name)

    assert value.__name__ == name
    assert getattr(importlib.import_module(value.__module__), name) is value


def test_a_name_that_is_not_offered_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Orchestrator'"):
        getattr(choreo, "Orchestrator")  # noqa: B009 -- no type checker would let it pass


def test_every_error_can_be_caught_by_its_name() -> None:
    raised = {name for name, value in vars(errors).items() if is_class_of(errors, value)}

    assert raised <= set(choreo.__all__)


def test_every_locator_of_foreign_records_is_exported() -> None:
    locators = {name for name, value in vars(foreign).items() if is_class_of(foreign, value)}

    assert locators - INTERNAL <= set(choreo.__all__)


def test_every_exported_name_has_a_docstring() -> None:
    assert [name for name in choreo.__all__ if not getattr(choreo, name).__doc__] == []


def test_every_module_opens_with_a_sentence() -> None:
    names = [module.name for module in pkgutil.walk_packages(choreo.__path__, "choreo.")]

    silent = [name for name in names if not name.endswith("__main__") and not says(name)]

    assert silent == []


def test_a_misspelt_class_argument_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="topik"):
        type("Misspelt", (Event,), {"__module__": __name__}, topik="orders")


def says(name: str) -> bool:
    return bool(importlib.import_module(name).__doc__)


def is_class_of(module: object, value: object) -> bool:
    return isinstance(value, type) and value.__module__ == getattr(module, "__name__")  # noqa: B009


def names_in_all(file: str) -> list[str]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    (listed,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    names: list[str] = ast.literal_eval(listed)
    return names


def names_imported_by(file: str) -> set[str]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

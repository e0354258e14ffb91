"""Where a handler reads a field of its event, as its source tells."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from choreo.contracts.annotations import shape_of
from choreo.contracts.shape import Choice, Entries, Items, Record, Shape
from choreo.errors import ConfigurationError
from choreo.event import Event


class Use(StrEnum):
    """What a handler does with a field."""

    READS = "reads it"
    PASSES_ON = "passes the event on, and may read it"
    TAKES = "takes the event, and does not read it"
    WHOLE = "takes the event"
    UNSEEN = "takes the event, and no test has shown what it reads"


@dataclass(frozen=True, slots=True)
class FieldUse:
    """What one handler does with one field, and where."""

    use: Use
    where: str
    """File and line."""


def field_use(function: Callable[..., object], event: type[Event], path: Sequence[str]) -> FieldUse:
    """Tell what *function* does with the field of *event* at *path*, by its names on the wire."""
    wanted = _attributes(event, path)
    target = inspect.unwrap(function)
    code = getattr(target, "__code__", None)
    if code is None:
        return FieldUse(Use.PASSES_ON, repr(function))
    file, first = str(code.co_filename), int(code.co_firstlineno)
    try:
        lines, first = inspect.getsourcelines(target)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):
        return FieldUse(Use.PASSES_ON, f"{file}:{first}")
    whole: int | None = None
    for line, chain in _uses(tree):
        if not chain:
            whole = whole or line
        elif all(one == other for one, other in zip(chain, wanted, strict=False)):
            return FieldUse(Use.READS, f"{file}:{first + line - 1}")
    if whole is not None:
        return FieldUse(Use.PASSES_ON, f"{file}:{first + whole - 1}")
    return FieldUse(Use.TAKES, f"{file}:{int(code.co_firstlineno)}")


def _uses(tree: ast.Module) -> Iterator[tuple[int, tuple[str, ...]]]:
    """List where the first parameter is used: the line, and the attributes that are read of it."""
    function = next(
        (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)),
        None,
    )
    parameters = [*function.args.posonlyargs, *function.args.args] if function else []
    names = [one.arg for one in parameters if one.arg not in {"self", "cls"}]
    if function is None or not names:
        return
    parents = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == names[0]:
            chain: list[str] = []
            here: ast.AST = node
            while isinstance(above := parents.get(here), ast.Attribute):
                chain.append(above.attr)
                here = above
            yield node.lineno, tuple(chain)


def _attributes(event: type[Event], path: Sequence[str]) -> list[str]:
    """Turn names on the wire into attributes, as far as attributes lead."""
    try:
        shape: Shape | None = shape_of(event)
    except ConfigurationError:
        return [*path]
    found: list[str] = []
    for step in path:
        if step.startswith("<"):
            continue
        record = _within(shape)
        if step[0] in "[{" or record is None:
            break
        member = next((one for one in record.members if one.name == step), None)
        found.append(member.attribute if member else step)
        shape = member.shape if member else None
        if isinstance(shape, Items | Entries):
            break
    return found


def _within(shape: Shape | None) -> Record | None:
    if isinstance(shape, Choice):
        records = [one for one in shape.options if isinstance(one, Record)]
        return records[0] if len(records) == 1 else None
    return shape if isinstance(shape, Record) else None

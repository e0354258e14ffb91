"""Statements as a driver takes them: compiled once, with their values put in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import make_url, text
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import Executable

from choreo_sql.settings import DRIVERS

TEXTS = 512
"""Texts of handlers that are kept compiled."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as the driver takes it."""

    text: str
    names: Sequence[str]
    """Of its parameters, in the driver's order."""
    fixed: Mapping[str, object]
    """Values of those that are always the same."""

    def given(self, parameters: Mapping[str, object]) -> tuple[object, ...]:
        """Put *parameters* in order."""
        every = {**self.fixed, **parameters} if self.fixed else parameters
        return tuple(map(every.__getitem__, self.names))


@cache
def compiled(statement: Executable, dialect: str) -> Compiled:
    """Write *statement* down once: those of choreo are few, and live as long as the process."""
    clause: Any = statement
    written = clause.compile(dialect=_dialect(dialect))
    fixed = written.params
    names = tuple(written.positiontup or ())
    known: dict[str, object] = {name: fixed[name] for name in names if fixed[name] is not None}
    return Compiled(written.string, names, known)


@lru_cache(TEXTS)
def compiled_text(statement: str, dialect: str) -> Compiled:
    """Write a handler's text down, in which ``:name`` stands for a value."""
    written = text(statement).compile(dialect=_dialect(dialect))
    return Compiled(written.string, tuple(written.positiontup or ()), {})


@cache
def _dialect(name: str) -> Dialect:
    """Make one for all: an engine has one of its own, which must not be remembered longer."""
    return make_url(f"{DRIVERS[name]}://").get_dialect()()
